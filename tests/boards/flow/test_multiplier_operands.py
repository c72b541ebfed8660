"""Signed operands at the top of an ECP5 multiplier's inputs: the same products from fewer wires."""

import copy
import json
import random
from dataclasses import replace

import pytest

from boards.flow.families import ECP5, NETLIST
from boards.flow.multiplier_operands import INPUT_BITS, MULTIPLIER, OUTPUT_BITS, align
from boards.flow.synthesis import synthesize_to

PRODUCT = "module top(input {a}, input {b}, output {p}); assign p = x * y; endmodule"
NARROW = ("signed [8:0] x", "signed [7:0] y", "signed [16:0] p")


def synthesized(folder, a, b, p):
    """A product's netlist, as Yosys leaves it."""
    (folder / "design.v").write_text(PRODUCT.format(a=a, b=b, p=p))
    synthesize_to(replace(ECP5, improve=()), folder)
    return json.loads((folder / NETLIST).read_text())


def aligned(netlist):
    """The top module before and after, and how many inputs lost their wire."""
    before = copy.deepcopy(netlist)
    freed = align(netlist)
    return before["modules"]["top"], netlist["modules"]["top"], freed


def multiplier(module):
    (cell,) = (cell for cell in module["cells"].values() if cell["type"] == MULTIPLIER)
    return cell["connections"]


def products(nets, values):
    """{net: bit} of a multiplier's outputs, as a multiplier of 18 by 18 bits computes them."""
    operands = []
    for name in "AB":
        bits = [nets[f"{name}{bit}"][0] for bit in range(INPUT_BITS)]
        bits = [int(net) if net in ("0", "1") else values[net] for net in bits]
        signed = nets[f"SIGNED{name}"] == ["1"]
        operands.append(sum(bit << number for number, bit in enumerate(bits)) - (signed and bits[-1] << INPUT_BITS))
    product = operands[0] * operands[1]
    return {nets[f"P{bit}"][0]: product >> bit & 1 for bit in range(OUTPUT_BITS) if f"P{bit}" in nets}


@pytest.mark.parametrize(
    ("a", "b", "p", "freed"),
    [
        (*NARROW, 9 + 10),
        ("signed [17:0] x", "signed [7:0] y", "signed [25:0] p", 10),
        ("signed [17:0] x", "signed [17:0] y", "signed [35:0] p", 0),
        ("[8:0] x", "[7:0] y", "[16:0] p", 0),  # nothing above them is a wire
    ],
)
def test_products_stay_what_they_are(tmp_path, a, b, p, freed):
    """For operands at random and at their ends, every product bit that the design reads keeps its value."""
    before, after, count = aligned(synthesized(tmp_path, a, b, p))
    read = [net for net in before["ports"]["p"]["bits"] if isinstance(net, int)]
    inputs = [net for port in ("x", "y") for net in before["ports"][port]["bits"]]
    generator = random.Random(1)
    draws = [[generator.randrange(2) for _ in inputs] for _ in range(50)]
    for bits in [[0] * len(inputs), [1] * len(inputs), *draws]:
        values = dict(zip(inputs, bits, strict=True))
        old, new = products(multiplier(before), values), products(multiplier(after), values)
        assert all(new[net] == old[net] for net in read if net in old)
    assert any(net in products(multiplier(after), values) for net in read)
    assert count == freed


def test_wires_are_as_many_as_operands_have_bits(tmp_path):
    _, after, _ = aligned(synthesized(tmp_path, *NARROW))
    nets = multiplier(after)
    wires = {name: [nets[f"{name}{bit}"][0] for bit in range(INPUT_BITS)] for name in "AB"}
    for name, bits in (("A", 9), ("B", 8)):
        assert wires[name][: INPUT_BITS - bits] == ["0"] * (INPUT_BITS - bits)
        assert len(set(wires[name][INPUT_BITS - bits :])) == bits


def test_a_product_whose_copies_of_the_sign_are_read_stays(tmp_path):
    netlist = synthesized(tmp_path, *NARROW)
    top = netlist["modules"]["top"]
    top["ports"]["sign"] = {"direction": "output", "bits": multiplier(top)["P20"]}
    before, after, freed = aligned(netlist)
    assert freed == 0 and multiplier(after) == multiplier(before)
