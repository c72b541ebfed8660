"""The driver on the machine in simulation, over an AXI4-Lite master and AXI4 memory of an independent bus model."""

import os
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge
from cocotb.triggers import ClockCycles

from boards.driver import Accelerator, MachineError
from quantflow.errors import UserError
from quantflow.manifest import VERILOG, Manifest
from quantflow.registers import BUSY, START, Error, Register
from sim.simulator import build
from tests.boards.driver.builds import IMAGES, lenet_build, small_build
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


def test_in_simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("builds")
    small_build(folder / "small", 3)
    lenet_build(folder / "lenet", 3)
    verilog = (folder / "lenet" / VERILOG).read_text()
    built = build(verilog, top="accelerator", closed=True)
    built.run(__name__, folder=folder / "run", environment={"BUILDS": str(folder)})
