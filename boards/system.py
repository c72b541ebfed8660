"""What stands around the accelerator on a board: its memory, its host's link, its clock.

Each kind is a record of facts, with the memory's timing that follows from them; `boards.project` finds the writer of
the files that it needs by its type.
"""

from dataclasses import asdict, dataclass, field

from quantflow.cycles import MemoryTiming

EFFICIENCY = 0.8  # share of a DRAM port's beats that carry data; the rest go by refreshes and turns of the bus
ON_CHIP_LATENCY = 5  # cycles of `hdl.system`'s memory from a request to its first beat
DRAM_LATENCY = 30  # cycles from a request to its first beat, through interconnect and controller


@dataclass(frozen=True, kw_only=True)
class ProcessingSystem:
    """A Zynq-7000: its ARM cores are the host, its DDR3 the memory, its PLL the clock."""

    ports: int = 4  # high-performance AXI3 ports, S_AXI_HP0 and up
    port_bits: int = 64  # of one of them
    dram_mb_s: int  # that the board's DRAM moves at most: bytes of its bus times transfers a second
    control_address: int = 0x43C0_0000  # of the registers, a multiple of 4096 behind M_AXI_GP0 (0x40000000 and up)
    # of the vendor's IP processing_system7, for the case that its board files are not installed: crystal, DRAM
    settings: dict[str, str] = field(default_factory=dict)

    memory_name = "DDR3"
    link = "ARM cores"

    def timing(self, config, clock_mhz):
        """The MemoryTiming of a machine of this configuration and clock."""
        return _dram_timing(self.dram_mb_s, config, clock_mhz)


@dataclass(frozen=True, kw_only=True)
class OnChip:
    """Memory in block RAM, a host at the end of a serial line, a PLL behind the board's oscillator.

    `pins` name the package's pins of the ports of the design: clock, rx (into the FPGA), tx and, where the board has
    them, reset (a button, see `reset_active_low`), led_busy and led_error (see `led_active_low`), and any whose name
    begins with `high`, which are held so for the sake of other chips on the board.
    """

    oscillator_mhz: float
    pins: dict[str, str]
    io_standard: str = "LVCMOS33"
    reset_active_low: bool = False
    led_active_low: bool = False
    baud: int = 1_000_000  # 8 data bits, no parity, 1 stop bit

    memory_name = "block RAM"
    link = "serial"

    def timing(self, config, clock_mhz):
        """The MemoryTiming of block RAM: a beat a cycle."""
        return MemoryTiming(latency=ON_CHIP_LATENCY)


@dataclass(frozen=True, kw_only=True)
class LiteX:
    """A LiteX system with its own processor and memory controller, in which the accelerator is a peripheral."""

    platform: str  # of litex-boards: the name of the module that describes the board
    dram_mb_s: int  # that its DRAM moves at most

    memory_name = "DRAM"
    link = "LiteX"

    def timing(self, config, clock_mhz):
        """The MemoryTiming of a machine of this configuration and clock."""
        return _dram_timing(self.dram_mb_s, config, clock_mhz)


def _dram_timing(mb_s, config, clock_mhz):
    """What DRAM and ports of one direction carry, whichever is less."""
    return MemoryTiming(latency=DRAM_LATENCY, bytes_per_cycle=EFFICIENCY * min(config.beat_bytes, mb_s / clock_mhz))


KINDS = {"processing system": ProcessingSystem, "on chip": OnChip, "litex": LiteX}


def to_json(system):
    """A system's facts and its kind as a dict for JSON."""
    (kind,) = (name for name, type_ in KINDS.items() if isinstance(system, type_))
    return {"kind": kind, **asdict(system)}


def from_json(values):
    """The system that `to_json` gave; KeyError or TypeError where it is none."""
    values = dict(values)
    return KINDS[values.pop("kind")](**values)
