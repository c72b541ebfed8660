"""The driver in C99: compiled without a warning, run against the machine in simulation, held against Transfer."""

import os
from ctypes import byref, c_char_p, c_uint32, create_string_buffer
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge, resume

import boards
from boards.driver import Profile
from quantflow.arithmetic import quantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import MODEL, VERILOG, Manifest
from quantflow.registers import BUSY, Error, Register
from sim.simulator import build
from tests.boards.driver.builds import CONFIG, IMAGES, lenet_build, small_build, small_network
from tests.boards.driver.c_driver import CDriver, compile_driver, mapped_link, write_driver
from tests.boards.driver.simulated import SimulatedLink

FOLDER = Path(os.environ.get("BUILDS", "."))


class Bench:
    """A build folder's machine, its driver in C, images and what the integer engine makes of them."""

    def __init__(self, dut, name):
        folder = FOLDER / name
        self.manifest, self.model = Manifest.read(folder), (folder / MODEL).read_bytes()
        with np.load(folder / IMAGES) as arrays:
            x, self.y, self.expected = (arrays[key] for key in ("x", "y", "expected"))
        self.runs = self.manifest.runs(quantize(x, self.manifest.input.format))
        self.link = SimulatedLink(dut, self.manifest.config, 0x8000 + 4 * self.manifest.memory_bytes)
        self.driver = CDriver(folder / "driver.so", self.manifest, self.link)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def digits_are_recognized(dut):
    """LeNet-5: cold, then warm; the integer engine's integers, and the digits' classes."""
    bench = Bench(dut, "lenet")
    await bench.link.reset()

    def work():
        assert bench.driver.open(bench.model) == "OK"
        assert bench.driver.profile() == "NOT_RECORDED"
        cycles = []
        for integers, expected, label in zip(bench.runs, bench.expected, bench.y, strict=True):
            got = bench.driver.run(integers)
            np.testing.assert_array_equal(got, expected)
            assert got.argmax() == label
            cycles.append(bench.driver.cycles)
        assert cycles[1] < cycles[0], "the weights of the first run stay on the chip"
        counters = {"cycles": cycles[1]}
        layers = Profile.read(bench.link, bench.manifest, "warm", counters).layers
        assert bench.driver.profile() == {layer.name: layer.cycles for layer in layers}

    await bridge(work)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def every_error_has_its_result(dut):
    bench = Bench(dut, "small")
    await bench.link.reset()

    def work():
        driver, link, image = bench.driver, bench.link, bench.runs[0]
        assert driver.open(bench.model) == "OK"
        np.testing.assert_array_equal(driver.run(image), bench.expected[0])

        damaged = bytearray(bench.model)
        damaged[bench.manifest.programs["cold"].offset] ^= 1
        assert driver.open(bytes(damaged)) == "OK"
        assert driver.run(image) == "MACHINE_ERROR" and driver.error == Error.DAMAGED_PROGRAM

        assert driver.open(bench.model) == "OK"
        driver.hasty = True
        assert driver.run(image) == "OUT_OF_TIME" and not link.read_register(Register.STATUS) & BUSY
        driver.hasty = False
        np.testing.assert_array_equal(driver.run(image), bench.expected[0])

        assert driver.step("start") == "OK"
        resume(link.reset)()
        assert driver.step("wait") == driver.run(image) == "WAS_RESET"

        assert driver.open(bench.model) == driver.step("start") == "OK"
        assert link.read_register(Register.STATUS) & BUSY
        assert driver.open(bench.model) == "OK", "a machine that is busy is stopped"
        assert driver.step("start") == "OK"
        np.testing.assert_array_equal(driver.run(image), bench.expected[0])
        driver.failing = True
        assert driver.open(bench.model) == driver.run(image) == "LINK_FAILED"

    await bridge(work)()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def another_machine_is_refused(dut):
    bench = Bench(dut, "small")
    await bench.link.reset()

    def work():
        bench.link.read_register = lambda address: bench.manifest.identity ^ 1
        assert bench.driver.open(bench.model) == "WRONG_MACHINE"

    await bridge(work)()


def test_in_simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("builds")
    for made in (small_build(folder / "small", 1), lenet_build(folder / "lenet", 2)):
        compile_driver(made, made)
    verilog = (folder / "lenet" / VERILOG).read_text()
    built = build(verilog, top="accelerator", closed=True)
    built.run(__name__, folder=folder / "run", environment={"BUILDS": str(folder)})


@pytest.mark.parametrize("batch", (1, 3))
@pytest.mark.parametrize("bits", (3, 8, 12))
@pytest.mark.parametrize("pixels", (2, 3))
def test_layout(tmp_path, bits, pixels, batch):
    """What C packs and unpacks is what Transfer does: containers of 4, 8 and 16 bits, folded inputs, batches."""
    config = Config(pixels=pixels, lanes=4, port_bits=32, activation_bits=bits, activation_depth=1024, weight_depth=512)
    network = small_network(bits)
    manifest = Manifest.of(compile_network(network.finish(), config, batch), boards.find("pynq-z2"))
    write_driver(manifest, b"", tmp_path)
    driver = CDriver(compile_driver(tmp_path, tmp_path), manifest)
    random = np.random.default_rng(pixels)
    integers = _integers(random, manifest.input)
    assert driver.pack(integers) == manifest.input.pack(integers).tobytes()
    integers = _integers(random, manifest.output)
    packed = manifest.output.pack(integers).tobytes()
    np.testing.assert_array_equal(driver.unpack(packed), integers)
    np.testing.assert_array_equal(manifest.output.unpack(packed), integers)


def test_mapped_memory(tmp_path):
    """Registers and memory at the processor's own addresses; caches are flushed and invalidated where there are any."""
    network, config = small_network(), CONFIG
    manifest = Manifest.of(compile_network(network.finish(), config), boards.find("pynq-z2"))
    write_driver(manifest, b"", tmp_path)
    link, registers, memory, calls = mapped_link(compile_driver(tmp_path, tmp_path), bus_address=0x10000)
    value = c_uint32()
    assert link.write_register(link.context, 0x34, 7) == 0 and registers[13] == 7
    assert link.read_register(link.context, 0x34, byref(value)) == 0 and value.value == 7
    assert link.write_memory(link.context, 0x10010, c_char_p(b"weights!"), 8) == 0
    assert bytes(memory[0x10:0x18]) == b"weights!"
    read = create_string_buffer(8)
    assert link.read_memory(link.context, 0x10014, read, 8) == 0 and read.raw == b"hts!" + bytes(4)
    assert calls == [("flush", 0x10, 8), ("invalidate", 0x14, 8)]
    assert [bool(link.wait(link.context, turn)) for turn in (0, 4, 5, 6)] == [False, False, True, True]


def _integers(random, transfer):
    shape = transfer.shape if transfer.images == 1 else (transfer.images, *transfer.shape)
    return random.integers(transfer.format.min, transfer.format.max, shape, endpoint=True)
