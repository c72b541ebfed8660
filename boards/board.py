"""What a board's file says."""

from dataclasses import dataclass, field

from quantflow.config import Config
from quantflow.cycles import MemoryTiming


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What an FPGA has, or what a design takes of it."""

    lut: int  # look-up tables, in the vendor's size
    ff: int  # flip-flops
    dsp: int  # multiplier blocks
    block_ram: int  # blocks of `Board.block_ram_kbit`

    def exceeding(self, other):
        """Names of the resources of which there is more here than in `other`."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) > getattr(other, name)]


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board and the machine chosen for it.

    `templates` maps the name of a file of the build folder to the template in boards/templates/
    that it is made from; `$part`, `$vendor_board`, `$clock_mhz`,
    `$clock_ns` and `$port_bits` are replaced.
    """

    name: str
    title: str
    part: str  # the vendor's full order code, as its tools take it
    vendor_board: str = ""  # the vendor's name of the board, as its tools take it
    family: str  # a key of boards.synthesis.FAMILIES
    clock_mhz: int  # aimed at; only a place-and-route run shows whether it is met
    config: Config
    resources: Resources
    block_ram_kbit: int
    memory: MemoryTiming = field(default_factory=MemoryTiming)  # that simulations and estimates assume
    templates: dict[str, str] = field(default_factory=dict)
    note: str = ""  # what a user must know before relying on the board's files
