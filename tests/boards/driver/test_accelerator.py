"""The driver on the machine in simulation, over an AXI4-Lite master and AXI4 memory of an independent bus model."""

import os
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge, resume

from boards.driver import Accelerator, LinkError, MachineError
from quantflow import isa
from quantflow.arithmetic import quantize
from quantflow.errors import UserError
from quantflow.manifest import MODEL, VERILOG, Manifest
from quantflow.registers import BUSY, Error, Register
from sim.simulator import build
from tests.boards.driver.builds import CONFIG, IMAGES, lenet_build, small_build
from tests.boards.driver.simulated import SimulatedLink

FOLDER = Path(os.environ.get("BUILDS", "."))


class Bench:
    """A build folder's machine, images and what the integer engine makes of them."""

    def __init__(self, dut, name):
        self.folder = FOLDER / name
        self.manifest = Manifest.read(self.folder)
        with np.load(self.folder / IMAGES) as arrays:
            self.x, self.y, self.expected = (arrays[key] for key in ("x", "y", "expected"))
        self.link = SimulatedLink(dut, self.manifest.config, 0x8000 + 4 * self.manifest.memory_bytes)

    async def begin(self, work):
        await self.link.reset()
        await bridge(work)()

    def open(self, **options):
        return Accelerator.open(self.link, self.folder, **options)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def digits_are_recognized(dut):
    """LeNet-5: cold, then warm; the integer engine's integers, and the digits' classes."""
    bench = Bench(dut, "lenet")

    def work():
        accelerator = bench.open()
        outputs = accelerator.run(bench.x)
        assert accelerator.program == "warm"
        np.testing.assert_array_equal(outputs, bench.expected)
        np.testing.assert_array_equal(outputs.reshape(len(outputs), -1).argmax(1), bench.y)
        profile = accelerator.profile()
        assert profile.counters["compute_retired"] == len(bench.manifest.programs["warm"].of_unit("compute"))

    await bench.begin(work)
    assert bench.link.waits <= len(bench.x), "the driver sleeps until the interrupt"


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def batches_are_filled_and_cut(dut):
    """Three images on a machine whose runs are of two: the last run's second image counts for nothing."""
    bench = Bench(dut, "batch")

    def work():
        seen = []
        outputs = bench.open().run(bench.x, lambda *progress: seen.append(progress))
        np.testing.assert_array_equal(outputs, bench.expected)
        assert seen == [(1, 2), (2, 2)]

    await bench.begin(work)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def errors_are_named_and_the_next_run_is_right(dut):
    """A damaged program, a run that takes too long, a host that went away, and images of another shape."""
    bench = Bench(dut, "small")

    def work():
        accelerator, manifest = bench.open(), bench.manifest
        np.testing.assert_array_equal(accelerator.run(bench.x[:2]), bench.expected[:2])

        # A bit of the second of the warm program's instructions flips in memory.
        warm, model = manifest.programs["warm"], (bench.folder / MODEL).read_bytes()
        words = isa.instruction_bits(CONFIG) // 8
        place = warm.offset + words
        damaged = bytes([model[place] ^ 1]) + model[place + 1 : place + words]
        accelerator.write_memory(manifest.model_address + place, damaged)
        with pytest.raises(MachineError, match="warm program: the machine stopped with damaged program") as stop:
            accelerator.run(bench.x[:1])
        assert stop.value.error == Error.DAMAGED_PROGRAM
        assert warm.instructions[1].label in str(stop.value)
        np.testing.assert_array_equal(accelerator.run(bench.x[:1]), bench.expected[:1])
        assert accelerator.program == "cold", "what an interrupted run left on the chip is not relied on"

        hasty = bench.open(timeout=1e-6)
        with pytest.raises(MachineError, match="cold program: not done after 1e-06 s and stopped; load is at") as late:
            hasty.run(bench.x)
        assert late.value.error is None and not bench.link.read_register(Register.STATUS) & BUSY

        with patch.object(bench.link, "wait", side_effect=LinkError("gone")), pytest.raises(LinkError):
            accelerator.run(bench.x[1:])
        assert bench.link.read_register(Register.STATUS) & BUSY
        np.testing.assert_array_equal(accelerator.run(bench.x[2:]), bench.expected[2:])

        accelerator.write_image(manifest.input.pack(quantize(bench.x[0], manifest.input.format)).tobytes())
        accelerator.start()
        assert bench.link.read_register(Register.STATUS) & BUSY
        accelerator = bench.open()
        np.testing.assert_array_equal(accelerator.run(bench.x), bench.expected)
        with pytest.raises(UserError, match=r"takes images \[N, 2, 9, 8\], not \[2, 9, 8\]"):
            accelerator.run(bench.x[0])

    await bench.begin(work)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def another_machine_and_a_reset_are_noticed(dut):
    bench = Bench(dut, "small")

    def work():
        other = replace(bench.manifest, identity=1)
        with pytest.raises(UserError, match="identity 0x[0-9a-f]{8} and not 0x00000001: load the bitstream"):
            Accelerator(bench.link, other, b"")
        accelerator = bench.open()
        accelerator.start()
        resume(bench.link.reset)()
        with pytest.raises(MachineError, match="neither busy nor done: it was reset"):
            accelerator.wait()
        with pytest.raises(MachineError, match="was reset after it was opened, .* open it again"):
            accelerator.run(bench.x)
        np.testing.assert_array_equal(bench.open().run(bench.x[:1]), bench.expected[:1])

    await bench.begin(work)


def test_in_simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("builds")
    small_build(folder / "small", 3)
    small_build(folder / "batch", 3, batch=2)
    lenet_build(folder / "lenet", 2)
    verilog = (folder / "lenet" / VERILOG).read_text()
    built = build(verilog, top="accelerator", closed=True)
    built.run(__name__, folder=folder / "run", environment={"BUILDS": str(folder)})
