"""Netlists of the flows as Verilog again, for simulation."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from boards.flow.families import ECP5, GOWIN, ICE40, NETLIST, Flow
from boards.flow.multiplier_operands import INPUT_BITS, MULTIPLIER, OUTPUT_BITS
from boards.flow.synthesis import synthesize_to
from boards.flow.tools import YOSYS

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="no iverilog, which compiles cells in seconds, on the PATH"
)


def lattice_model():
    """An ECP5's multiplier (FPGA-TN-02205) as far as the flow uses it: no cascade, one output register."""
    a, b = ([f"{name}{bit}" for bit in reversed(range(INPUT_BITS))] for name in "AB")
    c, p = [f"C{bit}" for bit in range(INPUT_BITS)], [f"P{bit}" for bit in reversed(range(OUTPUT_BITS))]
    inputs = [*a, *b, *c, "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0"]
    return f"""
module {MULTIPLIER}(input {", ".join(inputs)}, output {", ".join(p)});
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter REG_OUTPUT_RST = "RST0";
  wire signed [{INPUT_BITS}:0] a = {{SIGNEDA & A17, {", ".join(a)}}};
  wire signed [{INPUT_BITS}:0] b = {{SIGNEDB & B17, {", ".join(b)}}};
  wire signed [{2 * INPUT_BITS + 1}:0] product = a * b;
  reg [{OUTPUT_BITS - 1}:0] kept = 0;
  generate if (REG_OUTPUT_CLK == "CLK0") begin
    always @(posedge CLK0) if (RST0) kept <= 0; else if (CE0) kept <= product;
  end else begin
    always @* kept = product;
  end endgenerate
  assign {{{", ".join(p)}}} = kept;
endmodule
"""


def gowin_model(bits):
    """One of Gowin's multipliers (UG287, "Gowin Digital Signal Processing"), without its registers and cascade."""
    return f"""
module MULT{bits}X{bits}(
  input [{bits - 1}:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET, output [{2 * bits - 1}:0] DOUT
);
  wire signed [{bits}:0] a = {{ASIGN & A[{bits - 1}], A}};
  wire signed [{bits}:0] b = {{BSIGN & B[{bits - 1}], B}};
  assign DOUT = a * b;
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a flow's netlist of a module becomes Verilog again."""

    flow: Flow
    option: str = ""  # of its synthesis: the module's ports are no pins
    models: str  # Yosys' own, with options
    model: str = ""  # of multipliers, where Yosys has none
    bits: int  # of the narrower operand of its widest multiplier
    registers: dict[str, str]  # a multiplier's parameters once its registers moved in
    more: Callable[[dict], bool] = lambda cell: True  # what else must hold for a multiplier


FAMILIES = {
    "ecp5": Family(
        flow=ECP5,
        option="-noiopad",
        models="-DNO_INCLUDES +/ecp5/cells_sim.v",
        model=lattice_model(),
        bits=18,
        registers={"REG_OUTPUT_CLK": "CLK0"},
        more=lambda cell: ["0"] in (cell["connections"]["A0"], cell["connections"]["B0"]),  # operands at the top
    ),
    "ice40": Family(
        flow=ICE40,
        models="-DNO_ICE40_DEFAULT_ASSIGNMENTS +/ice40/cells_sim.v",
        bits=16,
        registers={"A_REG": "1", "B_REG": "1", "PIPELINE_16x16_MULT_REG2": "1"},
    ),
    "gowin": Family(
        flow=GOWIN,
        option="-noiopads",
        models="+/gowin/cells_sim.v",
        model=gowin_model(9) + gowin_model(18),
        bits=18,
        registers={},
    ),
}


def netlist_of(verilog, top, family, folder):
    """A module after synthesis and the flow's changes, as Yosys' JSON has it."""
    (folder / "design.v").write_text(verilog)
    flow = replace(family.flow, synthesis=f"{family.flow.synthesis} {family.option}")
    synthesize_to(flow, folder, top=top, sources=["design.v"])
    return json.loads((folder / NETLIST).read_text())["modules"][top]


def verilog_of(module, top, family, folder):
    """The module's cells, replaced by what their models say, as Verilog text."""
    (folder / NETLIST).write_text(json.dumps({"modules": {top: module}}))  # without Yosys' own empty cells
    (folder / "model.v").write_text(family.model)
    models = (
        f"read_verilog -defer {family.models}; read_verilog model.v"  # block RAMs' models take half a minute to read
    )
    flatten = "setattr -mod -unset whitebox =A:whitebox; proc; flatten; opt_clean"
    script = f"read_json {NETLIST}; {models}; hierarchy -top {top}; {flatten}; write_verilog cells.v"
    assert YOSYS.run(["-q", "-p", script], folder, "cells.log") == 0, (folder / "cells.log").read_text()
    return (folder / "cells.v").read_text()
