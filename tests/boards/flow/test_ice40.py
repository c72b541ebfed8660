"""Products on the iCE40 become multipliers, all of them."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from boards.flow.families import ICE40, NETLIST
from boards.flow.synthesis import synthesize_to
from boards.synthesis import synthesize

# What `synth_ice40 -dsp` of Yosys 0.70 makes one multiplier of, and zeros: a register of two products.
TWO_PRODUCTS = """
module top(input clk, input signed [8:0] a, b, input signed [7:0] w, output signed [16:0] p, q);
  wire signed [16:0] x = a * w, y = b * w;
  reg [33:0] kept;
  always @(posedge clk) kept <= {y, x};
  assign {q, p} = kept;
endmodule
"""
PRODUCT = (
    "module top(input signed [{a}:0] x, input signed [{b}:0] y, output signed [{p}:0] p); assign p = x * y; endmodule"
)


def cells(source, folder):
    (folder / "design.v").write_text(source)
    synthesize_to(replace(ICE40, improve=()), folder)
    top = json.loads((folder / NETLIST).read_text())["modules"]["top"]
    return Counter(ICE40.kind(cell["type"]) for cell in top["cells"].values())


def test_products_that_share_a_register_are_kept(tmp_path):
    counts = cells(TWO_PRODUCTS, tmp_path)
    assert counts["multiplier"] == 2 and counts["register"] == 34


@pytest.mark.parametrize("flatten", [True, False])
def test_resources_count_them_too(flatten):
    used = synthesize(TWO_PRODUCTS, "ice40", top="top", flatten=flatten)
    assert used.dsp == 2 and used.ff == 34


@pytest.mark.parametrize(
    ("a", "b", "multipliers"),
    [
        (16, 16, 1),
        (20, 16, 2),
        (5, 4, 0),  # products of few bits are logic
    ],
)
def test_multipliers_of_a_product(a, b, multipliers, tmp_path):
    counts = cells(PRODUCT.format(a=a - 1, b=b - 1, p=a + b - 1), tmp_path)
    assert counts["multiplier"] == multipliers and bool(counts["LUT"]) == (multipliers != 1)
