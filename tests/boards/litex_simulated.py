"""A LiteX system for simulation: the accelerator, LiteDRAM before its model of a DDR3, and LiteX's serial bridge.

Of the line only the bytes are simulated, each with valid and ready, not the bits.
"""

import re

from cocotb.clock import Clock
from cocotb.task import resume
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotb.utils import get_sim_time
from litedram.modules import MT41K256M16
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.build.io import CRG
from litex.soc.cores.uart import RS232PHYModel, UARTBone
from litex.soc.integration.soc_core import SoCCore
from litex.tools.remote.comm_uart import CommUART

from boards.driver.litex_link import LiteXLink
from boards.litex.peripheral import ORIGIN, add_accelerator

TOP = "simulated"
CLOCK_HZ, CLOCK_NS = 100e6, 10
MEMORY = 0x4000_0000  # where LiteX puts main memory
_PINS = [
    ("clk", 0, Pins(1)),
    ("rst", 0, Pins(1)),
    (
        "serial",
        0,
        *(Subsignal(f"{end}_{name}", Pins(8 if name == "data" else 1))
          for end in ("source", "sink") for name in ("valid", "ready", "data")),
    ),
]  # fmt: skip

# The simulator keeps every signal of the top module for Python, and LiteX's Verilog has all of its own in one.
_WRAPPER = f"""
module {TOP} (
    input wire clk, rst,
    input wire serial_sink_valid, serial_source_ready,
    input wire [7:0] serial_sink_data,
    output wire serial_sink_ready, serial_source_valid,
    output wire [7:0] serial_source_data
);
    system system (.*);
endmodule
"""


class _Dram(MT41K256M16):
    nrows = 2048  # of 32768; fewer would leave no address bit for the command that closes all banks


class _System(SoCCore):
    def __init__(self, platform, build):
        self.crg = CRG(platform.request("clk"), platform.request("rst"))
        super().__init__(
            platform, CLOCK_HZ, cpu_type=None, with_uart=False, with_timer=False, ident="", integrated_sram_size=0
        )
        dram = _Dram(CLOCK_HZ, "1:4")
        self.phy = SDRAMPHYModel(dram, data_width=16, clk_freq=CLOCK_HZ)
        self.add_sdram("sdram", phy=self.phy, module=dram, l2_cache_size=0)
        self.bridge = UARTBone(RS232PHYModel(platform.request("serial")), CLOCK_HZ)
        self.bus.add_master(master=self.bridge.wishbone)
        add_accelerator(self, build)


def system_verilog(build):
    """The system's Verilog, its top module TOP, without that of the accelerator."""
    platform = GenericPlatform("none", _PINS)
    system = _System(platform, build)
    system.finalize()
    converted = platform.get_verilog(system, name="system")
    assert not converted.data_files, "no memory begins with contents"
    return re.sub(r"^//.*\n", "", converted.main_source, flags=re.M) + _WRAPPER  # the first comment has the date


class SimulatedLiteX(LiteXLink):
    """The link of a driver that runs in a thread started with cocotb.task.bridge, in simulated time."""

    def __init__(self, dut):
        self.dut = dut
        Clock(dut.clk, CLOCK_NS, unit="ns").start()
        super().__init__(_serial_client(_Line(dut)), ORIGIN, MEMORY)

    async def reset(self):
        self.dut.serial_sink_valid.value = self.dut.serial_source_ready.value = 0
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    def wait(self, seconds):
        resume(_sleep)(min(seconds, 50e-6))

    def now(self):
        return get_sim_time("ns") / 1e9


async def _sleep(seconds):
    await Timer(max(1, round(seconds * 1e9)), "ns")


def _serial_client(line):
    """LiteX's own client of the serial bridge, on a simulated line instead of a serial port."""
    client = CommUART.__new__(CommUART)
    client.port, client.addr_bytes, client.debug = line, 4, False
    return client


class _Line:
    """Bytes to and from the bridge, with the methods of pyserial's port that LiteX uses."""

    def __init__(self, dut):
        self.dut = dut

    def write(self, data):
        resume(self._write)(bytes(data))
        return len(data)

    def read(self, size):
        return resume(self._read)(size)

    def inWaiting(self):  # noqa: N802
        return 0

    async def _write(self, data):
        self.dut.serial_sink_valid.value = 1
        for byte in data:
            self.dut.serial_sink_data.value = byte
            await RisingEdge(self.dut.clk)
            while not self.dut.serial_sink_ready.value:
                await RisingEdge(self.dut.clk)
        self.dut.serial_sink_valid.value = 0

    async def _read(self, size):
        received = []
        self.dut.serial_source_ready.value = 1
        while len(received) < size:
            await RisingEdge(self.dut.clk)
            if self.dut.serial_source_valid.value:
                received.append(self.dut.serial_source_data.value.to_unsigned())
        self.dut.serial_source_ready.value = 0
        return bytes(received)
