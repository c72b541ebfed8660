"""Signed operands of an ECP5's multipliers, moved to the top of their inputs.

Yosys puts a narrow operand at the bottom and its sign on every input above. Each is a wire to route, and the inputs
of a multiplier lie close together. At the top there are zeros below it instead, which need no wire.
"""

from boards.flow.multiplier_registers import ECP5, NETS_OF_CONSTANTS, fanout_of

MULTIPLIER, INPUT_BITS, OUTPUT_BITS = ECP5.cell, 18, len(ECP5.product)


def align(netlist):
    """Shift operands left in a netlist, as Yosys writes it in JSON, and take products from as far above.

    (a · 2^i) (b · 2^j) = a b · 2^(i + j). Returns how many inputs lost their wire.
    """
    freed = 0
    for module in netlist["modules"].values():
        fanout = fanout_of(module)
        freed += sum(_align(cell, fanout) for cell in module["cells"].values() if cell["type"] == MULTIPLIER)
    return freed


def _align(cell, fanout):
    nets = cell["connections"]
    shifts = {operand: _copies_of_sign(nets, operand) for operand in "AB"}
    shift = sum(shifts.values())
    products = [nets.get(f"P{bit}") for bit in range(OUTPUT_BITS)]
    if any(fanout[net] for bits in products[OUTPUT_BITS - shift :] for net in bits or ()):
        return 0  # copies of the product's sign have a use
    for operand, zeros in shifts.items():
        bits = [["0"]] * zeros + [nets[f"{operand}{bit}"] for bit in range(INPUT_BITS - zeros)]
        nets |= {f"{operand}{number}": bit for number, bit in enumerate(bits)}
    for bit in range(OUTPUT_BITS):
        nets.pop(f"P{bit}", None)
    nets |= {f"P{number}": bits for number, bits in enumerate(products[: OUTPUT_BITS - shift], shift) if bits}
    return shift


def _copies_of_sign(nets, operand):
    """How many inputs below a signed operand's topmost one carry the same net."""
    bits = [nets[f"{operand}{bit}"][0] for bit in reversed(range(INPUT_BITS))]
    if bits[0] in NETS_OF_CONSTANTS or nets[f"SIGNED{operand}"] != ["1"]:
        return 0
    return next(number for number, net in enumerate([*bits[1:], None]) if net != bits[0])
