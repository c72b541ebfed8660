"""Product registers move into ECP5 multipliers where that changes no cycle, and stay where it would."""

import copy
import json
from dataclasses import replace

import pytest

from boards.flow.families import ECP5, NETLIST
from boards.flow.multiplier_registers import MULTIPLIER, REGISTER, absorb
from boards.flow.synthesis import synthesize_to

PRODUCT = """
module top(input clk, input signed [8:0] a, input signed [7:0] b, output reg signed [16:0] p{ports});
  reg signed [8:0] x; reg signed [7:0] y;
  {wires}
  always @(posedge clk) begin x <= a; y <= b; {statement} end
endmodule
"""


def synthesized(folder, statement="p <= x * y;", ports="", wires=""):
    """The top module of a product's netlist as Yosys leaves it and as it becomes, and how many multipliers changed."""
    (folder / "design.v").write_text(PRODUCT.format(statement=statement, ports=ports, wires=wires))
    synthesize_to(replace(ECP5, improve=()), folder)
    netlist = json.loads((folder / NETLIST).read_text())
    before = copy.deepcopy(netlist)
    moved = absorb(netlist)
    return before["modules"]["top"], netlist["modules"]["top"], moved


def cells(module, kind):
    return {name: cell for name, cell in module["cells"].items() if cell["type"] == kind}


def test_product_registers_move_in(tmp_path):
    """What the registers showed the multiplier's own show now, on the same nets; operands' registers stay."""
    before, after, moved = synthesized(tmp_path)
    assert moved == 1
    gone = {name: cell for name, cell in cells(before, REGISTER).items() if name not in after["cells"]}
    assert len(gone) == len(before["ports"]["p"]["bits"]) and len(cells(after, REGISTER)) == 9 + 8
    ((name, cell),) = cells(after, MULTIPLIER).items()
    old = before["cells"][name]["connections"]
    for register in gone.values():
        data, shown = register["connections"]["DI"], register["connections"]["Q"]
        (port,) = (port for port, net in old.items() if net == data and port.startswith("P"))
        assert cell["connections"][port] == shown
    assert {cell["connections"][f"P{bit}"][0] for bit in range(17)} == set(after["ports"]["p"]["bits"])
    assert cell["connections"]["CLK0"] == after["ports"]["clk"]["bits"]
    assert (cell["connections"]["CE0"], cell["connections"]["RST0"]) == (["1"], ["0"])
    assert cell["parameters"]["REG_OUTPUT_CLK"] == "CLK0"


@pytest.mark.parametrize(
    ("statement", "ports", "wires"),
    [
        ("if (e) p <= x * y;", ", input e", ""),  # an enable
        ("if (r) p <= 0; else p <= x * y;", ", input r", ""),  # a reset
        ("p <= q; s <= ~q[3];", ", output reg s", "wire signed [16:0] q = x * y;"),  # a bit that has another use
        ("p <= q;", ", output n", "wire signed [16:0] q = x * y; assign n = q[0];"),  # a bit that is seen unregistered
        ("p <= x * y + 1;", "", ""),  # logic in between
    ],
)
def test_others_stay(tmp_path, statement, ports, wires):
    before, after, moved = synthesized(tmp_path, statement, ports, wires)
    assert len(cells(before, MULTIPLIER)) == 1 and moved == 0 and after == before
