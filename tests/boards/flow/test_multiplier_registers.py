"""Registers move into multipliers where that changes no cycle, and stay where it would."""

import copy
import json
from dataclasses import replace

import pytest

from boards.flow import families
from boards.flow.families import NETLIST
from boards.flow.multiplier_registers import ECP5, ICE40, absorb
from boards.flow.synthesis import synthesize_to

PRODUCT = """
module top(input clk, input signed [8:0] a, input signed [7:0] b, output reg signed [16:0] p{ports});
  reg signed [8:0] x; reg signed [7:0] y;
  {wires}
  always @(posedge clk) begin x <= a; y <= b; {statement} end
endmodule
"""
# Two products share the operand y; what makes x and what reads it differs.
OPERANDS = """
module top(
  input clk, other, e, input signed [8:0] a, c, input signed [7:0] b, output signed [17:0] p, q, output signed [8:0] r
);
  reg signed [8:0] x, z; reg signed [7:0] y;
  always @(posedge clk) begin z <= c; y <= b; end
  assign q = z * y;
  {rest}
endmodule
"""
KINDS = {"ecp5": (families.ECP5, ECP5), "ice40": (families.ICE40, ICE40)}


def synthesized(folder, flow, source):
    """The top module of a netlist as Yosys leaves it and as it becomes, and how many registers came into use."""
    (folder / "design.v").write_text(source)
    synthesize_to(replace(flow, improve=()), folder)
    netlist = json.loads((folder / NETLIST).read_text())
    before = copy.deepcopy(netlist)
    moved = absorb(netlist)
    return before["modules"]["top"], netlist["modules"]["top"], moved


def product(folder, flow, statement="p <= x * y;", ports="", wires=""):
    return synthesized(folder, flow, PRODUCT.format(statement=statement, ports=ports, wires=wires))


def operands(folder, rest):
    """The iCE40's module after, its multipliers by the output port that they make, and how many registers are used."""
    _, after, moved = synthesized(folder, families.ICE40, OPERANDS.format(rest=rest))
    by_net = {cell["connections"]["O"][0]: cell for cell in cells(after, ICE40.cell).values()}
    return after, {port: by_net[after["ports"][port]["bits"][0]] for port in "pq"}, moved


def cells(module, kind):
    return {name: cell for name, cell in module["cells"].items() if cell["type"] == kind}


def in_use(multiplier):
    """Operands whose registers an iCE40's multiplier uses."""
    return {
        port for port, wanted in ICE40.operand_registers.items() if wanted.items() <= multiplier["parameters"].items()
    }


def product_nets(cell, kind):
    return [net for port in kind.product for net in cell["connections"].get(port, ["x"])]


@pytest.mark.parametrize("family", KINDS)
def test_product_registers_move_in(family, tmp_path):
    """What the registers showed the multiplier's own show now, on the same nets."""
    flow, kind = KINDS[family]
    before, after, moved = product(tmp_path, flow)
    assert moved == 1 + len(kind.operand_registers)
    shown = set(after["ports"]["p"]["bits"])
    registers = cells(before, kind.register.cell).values()
    behind = [cell["connections"] for cell in registers if cell["connections"]["Q"][0] in shown]
    ((name, cell),) = cells(after, kind.cell).items()
    old, new = product_nets(before["cells"][name], kind), product_nets(cell, kind)
    assert len(behind) == 17 == len(shown)
    for register in behind:
        assert new[old.index(register[kind.register.data][0])] == register["Q"][0]
    connections = cell["connections"]
    assert connections[kind.clock] == after["ports"]["clk"]["bits"]
    assert {port: connections[port] for port in kind.tied} == {port: [value] for port, value in kind.tied.items()}
    assert cell["parameters"].items() >= kind.product_register.items()
    assert len(cells(after, kind.register.cell)) == (0 if kind.operand_registers else 9 + 8)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize(
    ("statement", "ports", "wires"),
    [
        ("if (e) p <= x * y;", ", input e", ""),  # an enable
        ("if (r) p <= 0; else p <= x * y;", ", input r", ""),  # a reset
        ("", "", "always @(negedge clk) p <= x * y;"),  # the other edge
        ("p <= q; s <= ~q[3];", ", output reg s", "wire signed [16:0] q = x * y;"),  # a bit that has another use
        ("p <= q;", ", output n", "wire signed [16:0] q = x * y; assign n = q[0];"),  # a bit that is seen unregistered
        ("p <= x * y + 1;", "", ""),  # logic in between
    ],
)
def test_other_product_registers_stay(family, tmp_path, statement, ports, wires):
    flow, kind = KINDS[family]
    before, after, moved = product(tmp_path, flow, statement, ports, wires)
    ((name, cell),) = cells(after, kind.cell).items()
    assert product_nets(cell, kind) == product_nets(before["cells"][name], kind)
    assert not kind.product_register.items() <= cell["parameters"].items()
    if kind.operand_registers:
        assert moved == 2
    else:
        assert moved == 0 and after == before


def test_operand_registers_move_in_and_go(tmp_path):
    """An operand that two multipliers share goes into both; nothing else reads any, so no register is left."""
    after, multipliers, moved = operands(tmp_path, "always @(posedge clk) x <= a; assign p = x * y;")
    assert moved == 4 and not cells(after, "SB_DFF")
    for port, first in (("p", "a"), ("q", "c")):
        connections, ports = multipliers[port]["connections"], after["ports"]
        assert in_use(multipliers[port]) == {"A", "B"}
        for operand, name in (("A", first), ("B", "b")):
            bits = ports[name]["bits"]
            assert connections[operand] == bits + bits[-1:] * (16 - len(bits))
        assert connections["CLK"] == ports["clk"]["bits"]


def test_an_operand_that_is_read_elsewhere_keeps_its_register(tmp_path):
    after, multipliers, moved = operands(tmp_path, "always @(posedge clk) x <= a; assign p = x * y, r = x;")
    assert moved == 4 and in_use(multipliers["p"]) == {"A", "B"}
    registers = cells(after, "SB_DFF").values()
    assert {cell["connections"]["Q"][0] for cell in registers} == set(after["ports"]["r"]["bits"])
    assert multipliers["p"]["connections"]["A"][:9] == after["ports"]["a"]["bits"]


@pytest.mark.parametrize(
    ("rest", "left"),
    [
        ("always @(posedge clk) if (e) x <= a; assign p = x * y;", 0),  # an enable
        ("always @(negedge clk) x <= a; assign p = x * y;", 0),  # the other edge
        ("always @* x = a; assign p = x * y;", 0),  # no register
        ("always @(posedge clk) x <= a; assign p = $signed({x, 1'b1}) * y;", 9),  # a bit that no register shows first
        ("always @(posedge clk) x <= a; assign p = (x ^ c) * y;", 9),  # logic in between
    ],
)
def test_other_operand_registers_stay(tmp_path, rest, left):
    """The other operand moves all the same."""
    after, multipliers, moved = operands(tmp_path, rest)
    assert moved == 3 and in_use(multipliers["p"]) == {"B"} and in_use(multipliers["q"]) == {"A", "B"}
    assert len(cells(after, "SB_DFF")) == left


def test_a_multiplier_has_one_clock(tmp_path):
    after, multipliers, moved = operands(tmp_path, "always @(posedge other) x <= a; assign p = x * y;")
    assert moved == 3 and in_use(multipliers["p"]) == {"A"}
    assert multipliers["p"]["connections"]["CLK"] == after["ports"]["other"]["bits"]
    assert len(cells(after, "SB_DFF")) == 8  # the shared operand's, which this multiplier still reads


def test_a_product_register_decides_the_clock(tmp_path):
    statement = "always @(posedge clk) x <= a; reg signed [16:0] kept; assign p = kept; "
    after, multipliers, moved = operands(tmp_path, statement + "always @(posedge other) kept <= x * y;")
    assert moved == 3 and in_use(multipliers["p"]) == set()
    assert multipliers["p"]["connections"]["CLK"] == after["ports"]["other"]["bits"]
    assert multipliers["p"]["parameters"].items() >= ICE40.product_register.items()


def test_an_instantiated_multiplier_stays_as_it_is(tmp_path):
    """With a clock of its own its other registers are as the design wants them."""
    instance = "SB_MAC16 #(.A_REG(1), .TOPOUTPUT_SELECT(3), .BOTOUTPUT_SELECT(3)) m(.CLK(clk), .A(x), .B(y), .O(p));"
    source = OPERANDS.format(rest=f"always @(posedge clk) x <= a; {instance}")
    before, after, _ = synthesized(tmp_path, families.ICE40, source)
    assert after["cells"]["m"] == before["cells"]["m"]
