"""A whole `system`: a network through the serial line, real runs, the outputs of the integer engine."""

import logging
import random
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

import boards
from boards.project import write_project
from hdl.system.system import SYSTEM
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.integer_engine import run_integers
from quantflow.manifest import MODEL, VERILOG, Manifest
from quantflow.registers import BUSY, DONE, FAILED, START, STOP, Error, Register
from sim.simulator import build
from tests.hdl.streams import reset, until
from tests.hdl.system.host import CYCLE_NS, Host
from tests.quantflow.networks import RandomNetwork

BIT_CYCLES = 8
CONFIG = Config(
    pixels=2, lanes=4, port_bits=32, activation_depth=256, weight_depth=512, parameter_depth=32, queue_depth=2
)
IMAGES = "images.npz"
MACHINES = {
    "ulx3s-85f": CONFIG,  # memory of two ports, with contents at power-up
    "icebreaker": boards.find("icebreaker").config,  # one port, no contents; one instruction at a time
}


class Bench:
    """The machine's host, and what it should compute."""

    def __init__(self, dut):
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        self.dut, self.manifest = dut, Manifest.read(".")
        with np.load(IMAGES) as arrays:
            self.images, self.expected = arrays["images"], arrays["expected"]
        self.loaded = Path("memory_0.hex").exists()

    async def begin(self):
        Clock(self.dut.clk, CYCLE_NS, unit="ns").start()
        await reset(self.dut, rx=1, bit_cycles=BIT_CYCLES)
        self.host = host = Host(self.dut, BIT_CYCLES)
        assert await host.read_register(Register.IDENTITY) == self.manifest.identity
        model = Path(MODEL).read_bytes()
        if not self.loaded:
            await host.write(self.manifest.model_address, model)
        assert await host.read(self.manifest.model_address, len(model)) == model
        await host.write_register(Register.PORT_BASE, 0)
        for index, (base, size) in enumerate(self.manifest.regions()):
            await host.write_register(Register.BASE + 4 * index, base)
            await host.write_register(Register.REGION_SIZE + 4 * index, size)

    async def start(self, name):
        program = self.manifest.programs[name]
        await self.host.write_register(Register.PROGRAM_ADDRESS, self.manifest.model_address + program.offset)
        await self.host.write_register(Register.PROGRAM_LENGTH, len(program.instructions))
        await self.host.write_register(Register.CONTROL, START)

    async def infer(self, name, integers):
        manifest, host = self.manifest, self.host
        await host.write(manifest.input_address, manifest.input.pack(integers).tobytes())
        await self.start(name)
        await until(self.dut, lambda: not int(self.dut.busy.value), 100_000)
        assert await host.read_register(Register.STATUS) == DONE and not int(self.dut.failed.value)
        return manifest.output.unpack(await host.read(manifest.output_address, manifest.output.bytes))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def a_network_runs(dut):
    """What the machine computes is what the integer engine does, in the cycles of the estimate."""
    bench = Bench(dut)
    await bench.begin()
    for number, name in enumerate(["cold", *[bench.manifest.later_program] * (len(bench.images) - 1)]):
        np.testing.assert_array_equal(await bench.infer(name, bench.images[number]), bench.expected[number])
        cycles = await bench.host.read_register(Register.CYCLES)
        estimate = bench.manifest.programs[name].estimated_cycles
        print(f"{name}: {cycles} cycles, {estimate} estimated")
        assert abs(cycles - estimate) <= 0.05 * estimate


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def the_host_reads_while_the_machine_runs(dut):
    """Model and registers, all the time of a run; both come out right."""
    bench = Bench(dut)
    await bench.begin()
    host, manifest = bench.host, bench.manifest
    model = Path(MODEL).read_bytes()
    await host.write(manifest.input_address, manifest.input.pack(bench.images[0]).tobytes())
    await bench.start("cold")
    reads = 0
    while int(dut.busy.value):
        place = 4 * random.Random(reads).randrange(len(model) // 4 - 1)
        assert await host.read(place, 8) == model[place : place + 8]
        reads += 1
    assert reads > 1
    output = await host.read(manifest.output_address, manifest.output.bytes)
    np.testing.assert_array_equal(manifest.output.unpack(output), bench.expected[0])


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def errors_show_and_pass(dut):
    """A program outside the memory is a read error, a stop is one, too; the next run is right."""
    bench = Bench(dut)
    await bench.begin()
    host = bench.host
    outside = (1 << bench.manifest.config.memory_address_bits) - 4096
    await host.write_register(Register.PROGRAM_ADDRESS, outside)
    await host.write_register(Register.PROGRAM_LENGTH, 4)
    await host.write_register(Register.CONTROL, START)
    await until(dut, lambda: int(dut.failed.value), 10_000)
    assert await host.read_register(Register.STATUS) == FAILED
    assert await host.read_register(Register.ERROR) in (Error.READ_RESPONSE, Error.MEMORY_ADDRESS)
    await bench.start("cold")
    await host.write_register(Register.CONTROL, STOP)
    await ClockCycles(dut.clk, 500)
    assert not await host.read_register(Register.STATUS) & BUSY
    np.testing.assert_array_equal(await bench.infer("cold", bench.images[0]), bench.expected[0])
    assert not int(dut.failed.value)


@pytest.mark.parametrize("name", MACHINES)
def test_system(name, tmp_path):
    network = RandomNetwork(3, (3, 21, 16))
    quantized = network.convolution(6, (3, 3), padding=(1, 1, 1, 1)).pool((3, 3)).dense(5, relu=False).finish()
    folder, config = tmp_path / "build", MACHINES[name]
    write_project(compile_network(quantized, config), quantized, replace(boards.find(name), config=config), folder)
    images = network.images(3)
    expected = run_integers(quantized, images)[quantized.network.layers[-1].name]
    np.savez(folder / IMAGES, images=images, expected=expected)
    verilog = (folder / VERILOG).read_text() + (folder / "system.v").read_text()
    # The contents' files are found in the folder in which the simulation runs.
    build(verilog, top=SYSTEM, closed=True).run(__name__, folder=folder)
