"""The driver over a simulated serial line, at the design that a board without DRAM gets: memory, link and machine."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time
from cocotbext.uart import UartSink, UartSource

from boards.driver import Accelerator, LinkError
from boards.driver.serial_line import SerialLink
from hdl.system.system import SYSTEM
from quantflow.manifest import VERILOG, Manifest
from sim.simulator import build
from tests.boards.driver.builds import CONFIG, IMAGES, lenet_build
from tests.boards.driver.serial_device import Faults
from tests.hdl.streams import reset

CYCLE_NS, BIT_CYCLES = 10, 4
BAUD = 10**9 // (CYCLE_NS * BIT_CYCLES)
NOISE = {"lost": 2e-4, "flipped": 2e-4, "inserted": 2e-4}  # shares of the bytes, in both directions
MACHINE = replace(CONFIG, ports=1, weight_bits=4)
PATIENCE = 20e-6  # of the machine's time, in which a reply follows the request at once


class UartLine:
    """pyserial's interface to cocotbext-uart's two ends of the line, on which bytes are lost and damaged."""

    def __init__(self, dut, faults):
        self._source, self._sink = UartSource(dut.rx, baud=BAUD), UartSink(dut.tx, baud=BAUD)
        self.faults, self.timeout, self._received = faults, 0.0, b""

    def write(self, data):
        self._source.write_nowait(self.faults.on(data))

    def read(self, size):
        resume(self._receive)(size, get_sim_time("ns") + self.timeout * 1e9)
        data, self._received = self._received[:size], self._received[size:]
        return data

    async def _receive(self, size, end):
        while len(self._received) < size and (left := round(end - get_sim_time("ns"))) > 0:
            await self._sink.wait(left, "ns")
            if not self._sink.empty():
                self._received += self.faults.on(self._sink.read_nowait())


class SimulatedSerialLink(SerialLink):
    """A serial link in the simulation's time."""

    def wait(self, seconds):
        resume(self._sleep)(min(seconds, 10e-6))

    async def _sleep(self, seconds):
        await Timer(max(1, round(seconds * 1e9)), "ns")

    def now(self):
        return get_sim_time("ns") / 1e9


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def digits_are_recognized_on_a_bad_line(dut):
    """LeNet-5: the integer engine's integers and the digits' classes, whatever happens to bytes on the way."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    folder = Path(os.environ["BUILD"])
    manifest = Manifest.read(folder)
    with np.load(folder / IMAGES) as arrays:
        x, y, expected = (arrays[key] for key in ("x", "y", "expected"))
    Clock(dut.clk, CYCLE_NS, unit="ns").start()
    await reset(dut, rx=1, bit_cycles=BIT_CYCLES)
    line = UartLine(dut, Faults(1, **NOISE))

    def work():
        link = SimulatedSerialLink(line, BAUD, patience=PATIENCE)
        accelerator = Accelerator.open(link, folder)
        outputs = accelerator.run(x)
        np.testing.assert_array_equal(outputs, expected)
        np.testing.assert_array_equal(outputs.reshape(len(y), -1).argmax(1), y)
        assert link.repeated > 3
        profile = accelerator.profile()
        assert [layer.name for layer in profile.layers] == [stage.name for stage in manifest.stages]
        assert sum(layer.cycles for layer in profile.layers) == profile.counters["cycles"]
        for layer in profile.layers:
            assert abs(layer.cycles - layer.predicted_cycles) <= 10 + 0.1 * layer.predicted_cycles, layer
        with pytest.raises(LinkError, match="refuses an address"):
            link.read_memory(1 << 30, 4)

    await bridge(work)()


def test_in_simulation(tmp_path):
    folder = lenet_build(tmp_path / "build", 2, weight_bits=4, board="ulx3s-85f", config=MACHINE)
    verilog = (folder / VERILOG).read_text() + (folder / "system.v").read_text()
    # The memory's contents at power-up are found in the folder in which the simulation runs.
    build(verilog, top=SYSTEM, closed=True).run(__name__, folder=folder, environment={"BUILD": str(folder)})
