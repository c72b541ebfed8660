"""How the open tools make a bitstream for each family of FPGAs."""

from collections.abc import Callable
from dataclasses import dataclass

from boards.flow import ice40, tools
from boards.flow.multiplier_operands import align
from boards.flow.multiplier_registers import absorb
from boards.flow.tools import Tool
from boards.part import Resources
from quantflow.errors import UserError

NETLIST, REPORT = "netlist.json", "report.json"
OTHER = "cell"  # what is none of a family's kinds


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One family's way from Verilog to a bitstream, with the files that the steps hand on.

    `resources` weighs nextpnr's cells as look-up tables, flip-flops, multiplier blocks and block RAMs of the size in
    which boards count them. `kinds` says what a cell of Yosys' netlist is, by how its type begins.
    """

    synthesis: str  # commands of Yosys, of which the last one takes the name of the top module and of the netlist
    improve: tuple[Callable[[dict], object], ...] = ()  # change Yosys' netlist before nextpnr reads it
    synthesizer: Tool = tools.YOSYS
    nextpnr: Tool
    placer: tuple[str, ...] = ()  # options of nextpnr that choose its placer
    routers: tuple[tuple[str, ...], ...] = ((),)  # and its router: the next one where one goes round in circles
    constrained: tuple[str, ...]  # options of nextpnr that name the constraints
    routed: tuple[str, ...]  # options of nextpnr that name the file for the packer
    packer: Tool
    packing: tuple[str, ...]  # arguments of the packer; {device} is what the part's options name
    bitstream: str  # that the packer writes
    constraints: str  # in the build folder
    resources: dict[str, dict[str, float]]
    kinds: dict[str, tuple[str, ...]]
    note: str = ""  # what nextpnr's figures leave out

    @property
    def tools(self):
        return (self.synthesizer, self.nextpnr, self.packer)

    def count(self, utilization):
        """Resources that a design takes, of {cell: {"used", "available"}} in nextpnr's report."""
        return Resources.weighed(self.resources, {cell: counts["used"] for cell, counts in utilization.items()})

    def kind(self, cell_type):
        """What a cell of this type is: register, block RAM, multiplier, LUT, carry..."""
        for kind, beginnings in self.kinds.items():
            if cell_type.startswith(beginnings):
                return kind
        return OTHER


ECP5 = Flow(
    # Multiplexers of LUTs are what the part has few of near one another: without them designs are smaller and faster.
    synthesis="synth_ecp5 -nowidelut",
    improve=(align, absorb),
    nextpnr=tools.NEXTPNR_ECP5,
    # Which moves all cells at once, by forces between them: multipliers and block RAMs lie in rows of their own, and
    # the default placer, which brings cells to such rows kind by kind, leaves wires a third longer, beyond routing.
    placer=("--placer", "static"),
    # The first gives faster designs, but may lay the last hundred wires again and again; the second negotiates.
    routers=(("--router", "router1"), ("--router", "router2", "--tmg-ripup")),
    constrained=("--lpf", "board.lpf"),
    routed=("--textcfg", "top.config"),
    packer=tools.ECPPACK,
    packing=("--compress", "top.config", "top.bit"),
    bitstream="top.bit",
    constraints="board.lpf",
    resources={
        "lut": {"TRELLIS_COMB": 1, "TRELLIS_RAMW": 2},  # a RAMW takes a slice's two LUTs for the writes
        "ff": {"TRELLIS_FF": 1},
        "dsp": {"MULT18X18D": 1},
        "block_ram": {"DP16KD": 1},
    },
    kinds={
        "register": ("TRELLIS_FF",),
        "block RAM": ("DP16KD", "PDPW16KD"),
        "multiplier": ("MULT18X18D", "ALU54B"),
        "LUT RAM": ("TRELLIS_DPR16X4",),
        "carry": ("CCU2C",),
        "LUT": ("LUT4", "PFUMX", "L6MUX21"),
    },
)
ICE40 = Flow(
    synthesis=f"{ice40.SYNTHESIS} -spram",
    improve=(absorb,),
    nextpnr=tools.NEXTPNR_ICE40,
    constrained=("--pcf", "board.pcf"),
    routed=("--asc", "top.asc"),
    packer=tools.ICEPACK,
    packing=("top.asc", "top.bin"),
    bitstream="top.bin",
    constraints="board.pcf",
    resources={
        "lut": {"ICESTORM_LC": 1},  # a logic cell is a LUT and a flip-flop
        "ff": {"ICESTORM_LC": 1},
        "dsp": {"ICESTORM_DSP": 1},
        "block_ram": {"ICESTORM_RAM": 1},
    },
    kinds={
        "register": ("SB_DFF",),
        "block RAM": ("SB_RAM40", "SB_SPRAM"),
        "multiplier": ("SB_MAC16",),
        "carry": ("SB_CARRY",),
        "LUT": ("SB_LUT4",),
    },
    note="nextpnr counts logic cells, a LUT and a flip-flop each, not the two apart, and times no multiplication",
)
GOWIN = Flow(
    synthesis="synth_gowin -family gw2a",
    nextpnr=tools.NEXTPNR_GOWIN,
    constrained=("--vopt", "cst=board.cst"),
    routed=("--write", "top.json"),
    packer=tools.GOWIN_PACK,
    packing=("-d", "{device}", "-o", "top.fs", "top.json"),
    bitstream="top.fs",
    constraints="board.cst",
    resources={
        "lut": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 6},
        "ff": {"DFF": 1},
        "dsp": {"MULT18X18": 1, "MULT9X9": 0.5, "MULTALU18X18": 2, "MULTADDALU18X18": 2, "MULTALU36X18": 2},
        "block_ram": {"BSRAM": 1},
    },
    kinds={
        "register": ("DFF",),
        "block RAM": ("SDP", "SP", "DPB", "DPX", "pROM"),
        "multiplier": ("MULT",),
        "LUT RAM": ("RAM16S",),
        "carry": ("ALU",),
        "LUT": ("LUT", "MUX2_"),
    },
    note="nextpnr knows no delays of Gowin's multipliers and block RAMs: the real clock limit lies below its figure",
)

FLOWS = {"ecp5": ECP5, "ice40": ICE40, "gowin": GOWIN}


def device(part):
    """The device in a part's options for nextpnr, as Gowin's packer takes it: `family=GW2A-18C`."""
    for option in part.options:
        if option.startswith("family="):
            return option.removeprefix("family=")
    return ""


def flow_of(part):
    """The Flow of a part; UserError where no open tool places and routes it."""
    if not part.options or part.family not in FLOWS:
        raise UserError(f"no open tool from PyPI makes a bitstream of {part.name}")
    return FLOWS[part.family]
