"""The array as an ECP5's cells, behind what the flow does to its multipliers, under the tests of the array itself."""

import json
import shutil
from dataclasses import replace

import pytest

from boards.flow.families import ECP5, NETLIST
from boards.flow.multiplier_operands import INPUT_BITS
from boards.flow.multiplier_registers import MULTIPLIER, OUTPUT_BITS
from boards.flow.synthesis import synthesize_to
from boards.flow.tools import YOSYS
from hdl.datapath.mac_array import MacArray
from hdl.verilog import to_verilog
from sim.simulator import build
from tests.hdl.datapath import test_mac_array

TOP = "MacArray"


def multiplier_model():
    """Lattice's multiplier (FPGA-TN-02205) as far as the flow uses it: no cascade, one output register."""
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


def as_cells(config, folder):
    """The array's Verilog after synthesis: (text, netlist's cells)."""
    (folder / "design.v").write_text(to_verilog(MacArray(config), TOP))
    synthesize_to(replace(ECP5, synthesis=f"{ECP5.synthesis} -noiopad"), folder, top=TOP)
    array = json.loads((folder / NETLIST).read_text())["modules"][TOP]
    (folder / NETLIST).write_text(json.dumps({"modules": {TOP: array}}))  # without Yosys' own empty cells
    (folder / "model.v").write_text(multiplier_model())
    models = "read_verilog -DNO_INCLUDES +/ecp5/cells_sim.v; read_verilog model.v"
    flatten = "setattr -mod -unset whitebox =A:whitebox; proc; flatten; opt_clean"
    script = f"read_json {NETLIST}; {models}; hierarchy -top {TOP}; {flatten}; write_verilog cells.v"
    assert YOSYS.run(["-q", "-p", script], folder, "cells.log") == 0, (folder / "cells.log").read_text()
    return (folder / "cells.v").read_text(), list(array["cells"].values())


@pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="no iverilog, which compiles cells in seconds, on the PATH"
)
@pytest.mark.parametrize("name", ["two_lanes", "four_lanes", "two_4_bit_weights_per_dsp"])
def test_sums_stay_what_they_are(name, tmp_path):
    """Every sum of the array's own test, from cells whose operands were moved and registers taken in."""
    config = test_mac_array.CONFIGS[name]
    source, cells = as_cells(config, tmp_path)
    multipliers = [cell for cell in cells if cell["type"] == MULTIPLIER]
    assert len(multipliers) == config.multipliers // config.products_per_dsp
    assert {cell["parameters"].get("REG_OUTPUT_CLK") for cell in multipliers} == {"CLK0"}
    assert all(["0"] in (cell["connections"]["A0"], cell["connections"]["B0"]) for cell in multipliers)
    built = build(source, top=TOP, simulator="icarus")
    built.run(test_mac_array.__name__, folder=tmp_path, environment={"CONFIG": name})
