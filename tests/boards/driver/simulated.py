"""A link to a machine in simulation: cocotbext-axi's AXI4-Lite master and AXI4 memory."""

import logging

from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from boards.driver import Link
from hdl.bus.axi import numbered

CLOCK_NS = 10
MEMORY_FROM = 0x4000  # the machine's memory does not begin at 0, and its parts have gaps between them


class SimulatedLink(Link):
    """Synchronous accesses, for a driver that runs in a thread started with cocotb.task.bridge."""

    def __init__(self, dut, config, size):
        self.dut, self.waits, self.starts = dut, 0, 0
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        Clock(dut.clk, CLOCK_NS, unit="ns").start()
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        memory = None
        for port in range(config.ports):
            bus = AxiBus.from_prefix(dut, numbered("m_axi_", port)[:-1])
            self._ram = AxiRam(bus, dut.clk, dut.rst, size=size, mem=memory)
            memory = self._ram.mem

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    def read_register(self, address):
        return int.from_bytes(resume(self._master.read)(int(address), 4).data, "little")

    def write_register(self, address, value):
        resume(self._master.write)(int(address), value.to_bytes(4, "little"))

    def read_memory(self, address, size):
        return bytes(self._ram.read(address, size))

    def write_memory(self, address, data):
        self._ram.write(address, data)

    def place(self, parts, size):
        return [MEMORY_FROM + 2 * base for base in super().place(parts, size)][::-1]

    def wait(self, seconds):
        self.waits += 1
        resume(self._interrupt)(seconds)

    async def _interrupt(self, seconds):
        if not self.dut.interrupt.value:
            await First(RisingEdge(self.dut.interrupt), Timer(max(1, round(seconds * 1e9)), "ns"))

    def now(self):
        return get_sim_time("ns") / 1e9
