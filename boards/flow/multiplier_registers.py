"""Registers behind an ECP5's multipliers, moved into the multipliers.

Yosys leaves them beside, and nextpnr may place them half the part away: the product, and the way to it, then take
one cycle together. A MULT18X18D has registers of its own for its results: Lattice, "ECP5 and ECP5-5G sysDSP Usage
Guide" (FPGA-TN-02205).
"""

from collections import Counter, defaultdict

MULTIPLIER, REGISTER, OUTPUT_BITS = "MULT18X18D", "TRELLIS_FF", 36
NETS_OF_CONSTANTS = ("0", "1", "x", "z")  # in place of a net's number
# A register that takes its data in every cycle, begins at 0 and knows no reset.
PLAIN = {"CEMUX": "1", "REGSET": "RESET"}


def absorb(netlist):
    """Move product registers into the multipliers of a netlist, as Yosys writes it in JSON; returns how many moved in.

    A multiplier takes its registers when each product bit that is used goes to nothing but a plain register, all of
    one clock: p' = p of the cycle before, as it was.
    """
    moved = 0
    for module in netlist["modules"].values():
        cells = module["cells"]
        loads, fanout = _loads(module), fanout_of(module)
        for cell in [cell for cell in cells.values() if cell["type"] == MULTIPLIER]:
            registers = _product_registers(cell, cells, loads, fanout)
            if registers:
                _absorb(cell, registers, cells)
                moved += 1
    return moved


def fanout_of(module):
    """For each net, how many inputs of cells and ports of the module hang on it."""
    fanout = Counter(net for port in module["ports"].values() for net in port["bits"])
    for cell in module["cells"].values():
        for port, nets in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                fanout.update(nets)
    return fanout


def _loads(module):
    """For each net, the registers whose data it is."""
    loads = defaultdict(list)
    for name, cell in module["cells"].items():
        if cell["type"] == REGISTER and "DI" in cell["connections"]:
            loads[cell["connections"]["DI"][0]].append(name)
    return loads


def _product_registers(cell, cells, loads, fanout):
    """{port: name of the register behind it} of the product bits that are used; None where one has none."""
    registers = {}
    for port in (f"P{bit}" for bit in range(OUTPUT_BITS)):
        (net,) = cell["connections"].get(port, ("x",))
        if net in NETS_OF_CONSTANTS or not fanout[net]:
            continue
        if fanout[net] != 1 or len(loads[net]) != 1 or not _plain(cells[loads[net][0]]):
            return None
        registers[port] = loads[net][0]
    clocks = {cells[name]["connections"]["CLK"][0] for name in registers.values()}
    return registers if len(clocks) == 1 else None


def _plain(register):
    parameters, connections = register["parameters"], register["connections"]
    never_reset = connections.get("LSR", ["0"])[0] in ("0", "x")
    return never_reset and all(parameters.get(name, "").strip() == value for name, value in PLAIN.items())


def _absorb(cell, registers, cells):
    """Give the multiplier its registers' outputs, clock and, tied, the enable and reset of its own."""
    for port, name in registers.items():
        register = cells.pop(name)
        cell["connections"][port] = register["connections"]["Q"]
        clock = register["connections"]["CLK"]
    cell["connections"] |= {"CLK0": clock, "CE0": ["1"], "RST0": ["0"]}
    cell["port_directions"] |= dict.fromkeys(("CLK0", "CE0", "RST0"), "input")
    cell["parameters"] |= {"REG_OUTPUT_CLK": "CLK0", "REG_OUTPUT_CE": "CE0", "REG_OUTPUT_RST": "RST0"}
