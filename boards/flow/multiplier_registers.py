"""Registers around multipliers, moved into the multipliers.

Yosys leaves them beside. On an ECP5 nextpnr may then place them half the part away: the product, and the way to it,
take one cycle together. On an iCE40 each flip-flop beside a multiplier is one of few logic cells. Both parts'
multipliers have registers of their own: Lattice, "ECP5 and ECP5-5G sysDSP Usage Guide" (FPGA-TN-02205) and "DSP
Function Usage Guide for iCE40 Devices" (FPGA-TN-02007).
"""

from collections import Counter
from dataclasses import dataclass, field

NETS_OF_CONSTANTS = ("0", "1", "x", "z")  # in place of a net's number


@dataclass(frozen=True, kw_only=True)
class Register:
    """A family's flip-flop: its ports, and the parameters of a plain one, which takes its data in every cycle."""

    cell: str
    clock: str
    data: str
    shown: str = "Q"
    reset: str = ""
    plain: dict[str, str] = field(default_factory=dict)

    def named(self, cells, port):
        """{net at a port of a plain register: the register's name}; of several on one net, any."""
        return {cell["connections"][port][0]: name for name, cell in cells.items() if self._is_plain(cell)}

    def _is_plain(self, cell):
        never_reset = cell["connections"].get(self.reset, ["0"])[0] in ("0", "x")
        parameters = cell["parameters"]
        is_set = all(parameters.get(name, "").strip() == value for name, value in self.plain.items())
        return cell["type"] == self.cell and never_reset and is_set


@dataclass(frozen=True, kw_only=True)
class Multiplier:
    """A family's multiplier: its ports, and the parameters that put its registers to use."""

    cell: str
    product: tuple[str, ...]  # its output ports
    product_register: dict[str, str]  # parameters
    operand_registers: dict[str, dict[str, str]] = field(default_factory=dict)  # parameters for each input port
    clock: str
    tied: dict[str, str]  # the registers' enables, holds and resets
    register: Register  # that Yosys leaves beside it


ECP5 = Multiplier(
    cell="MULT18X18D",
    product=tuple(f"P{bit}" for bit in range(36)),
    product_register={"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"},
    clock="CLK0",
    tied={"CE0": "1", "RST0": "0"},
    register=Register(
        cell="TRELLIS_FF",
        clock="CLK",
        data="DI",
        reset="LSR",
        plain={"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"},
    ),
)
ICE40 = Multiplier(
    cell="SB_MAC16",
    product=("O",),
    # The one behind the sum of the four partial products, which both halves of the output show.
    product_register={"PIPELINE_16x16_MULT_REG2": "1", "TOPOUTPUT_SELECT": "11", "BOTOUTPUT_SELECT": "11"},
    operand_registers={"A": {"A_REG": "1"}, "B": {"B_REG": "1"}},
    clock="CLK",
    tied={"CE": "1", "AHOLD": "0", "BHOLD": "0", "IRSTTOP": "0", "IRSTBOT": "0"},
    register=Register(cell="SB_DFF", clock="C", data="D"),
)


def absorb(netlist):
    """Move registers into the multipliers of a netlist, as Yosys writes it in JSON.

    A multiplier takes its product's registers when each product bit that is used goes to nothing but a plain register,
    all of one clock: p' = p of the cycle before, as it was. It takes an operand's (an iCE40's only) when each bit that
    is not always 0 comes from a plain register on that clock; these may serve several multipliers, and go when nothing
    else reads them. What a multiplier's registers hold before the first clock no guide says: nothing may depend on it.

    Returns how many registers of multipliers came into use.
    """
    return sum(_absorb(module, kind) for module in netlist["modules"].values() for kind in (ECP5, ICE40))


def fanout_of(module):
    """For each net, how many inputs of cells and ports of the module hang on it."""
    fanout = Counter(net for port in module["ports"].values() for net in port["bits"])
    for cell in module["cells"].values():
        for port, nets in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                fanout.update(nets)
    return fanout


def _absorb(module, kind):
    # One that has a clock was not made by Yosys, and its registers are the design's own affair.
    multipliers = [
        cell for cell in module["cells"].values() if cell["type"] == kind.cell and kind.clock not in cell["connections"]
    ]
    if not multipliers:
        return 0
    return _absorb_products(module, kind, multipliers) + _absorb_operands(module, kind, multipliers)


def _absorb_products(module, kind, multipliers):
    cells, fanout = module["cells"], fanout_of(module)
    behind, moved = kind.register.named(cells, kind.register.data), 0
    for cell in multipliers:
        bits = {net for net in _nets(cell, kind.product) if net not in NETS_OF_CONSTANTS and fanout[net]}
        registers = {net: cells[behind[net]] for net in bits if net in behind and fanout[net] == 1}
        if len(registers) == len(bits) and _take(cell, kind, kind.product, registers, kind.register.shown):
            cell["parameters"] |= kind.product_register
            for net in bits:
                del cells[behind[net]]
            moved += 1
    return moved


def _absorb_operands(module, kind, multipliers):
    cells = module["cells"]
    before, taken, moved = kind.register.named(cells, kind.register.shown), set(), 0
    for cell in multipliers:
        for port, parameters in kind.operand_registers.items():
            bits = set(_nets(cell, [port])) - {"0"}  # what a register would show of it, too
            registers = {net: cells[before[net]] for net in bits if net in before}
            if len(registers) == len(bits) and _take(cell, kind, [port], registers, kind.register.data):
                cell["parameters"] |= parameters
                taken |= bits
                moved += 1
    fanout = fanout_of(module)
    for net in taken:
        if not fanout[net]:
            del cells[before[net]]
    return moved


def _nets(cell, ports):
    return [net for port in ports for net in cell["connections"].get(port, ())]


def _take(cell, kind, ports, registers, beyond):
    """Connect a multiplier's ports past {net: register} to the registers' port `beyond`.

    Returns whether that was done: not without a register, nor where the clocks are not one.
    """
    connections = cell["connections"]
    clocks = {register["connections"][kind.register.clock][0] for register in registers.values()}
    if not registers or len(clocks | set(connections.get(kind.clock, ()))) != 1:
        return False
    nets = {net: register["connections"][beyond][0] for net, register in registers.items()}
    connections |= {port: [nets.get(net, net) for net in connections[port]] for port in ports if port in connections}
    connections |= {kind.clock: list(clocks)} | {port: [value] for port, value in kind.tied.items()}
    cell["port_directions"] |= dict.fromkeys((kind.clock, *kind.tied), "input")
    return True
