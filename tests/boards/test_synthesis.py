"""Each board's machine through Yosys: it synthesizes, and fits the part.

Slow: minutes for each board. The counts are printed, and written as `<board>.json` to the folder
that the environment variable QUANTFLOW_SYNTHESIS names.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

import boards
from boards.project import accelerator_verilog
from boards.synthesis import FAMILIES, cell_counts, synthesize
from hdl.scratchpad.word_scratchpad import weight_scratchpad
from hdl.verilog import to_verilog
from quantflow.config import Config

SMALL = """
module small(input clk, input signed [7:0] a, input signed [7:0] b, output reg signed [15:0] product,
             output reg [7:0] difference);
    always @(posedge clk) begin product <= a * b; difference <= a ^ b; end
endmodule
"""


# One board of each part, but for an XC7Z045, whose machine takes an hour and more (`benchmarks.synthesis` counts it),
# and an iCE40, whose logic cells Yosys does not count: a look-up table and a flip-flop share one, or do not.
LEFT_OUT = ("zc706", "icebreaker")
PARTS = {board.part.name: board for board in boards.all_boards() if board.name not in LEFT_OUT}
PRODUCTS_PER_BLOCK = {"xilinx-7": 2, "ecp5": 1, "gowin": 2}  # with the boards' own configurations


@pytest.mark.slow
@pytest.mark.parametrize("board", PARTS.values(), ids=lambda board: board.name)
def test_board_fits(board):
    used = synthesize(accelerator_verilog(board.config), board.part.family, flatten=board.config.multipliers <= 128)
    figures = {"board": board.name, "part": board.part.name, "used": asdict(used), "available": asdict(board.resources)}
    print(json.dumps(figures))
    if "QUANTFLOW_SYNTHESIS" in os.environ:
        folder = Path(os.environ["QUANTFLOW_SYNTHESIS"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{board.name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    assert used.exceeding(board.resources) == []
    assert used.dsp == board.config.multipliers // PRODUCTS_PER_BLOCK[board.part.family]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_small_design(family):
    """A product takes a multiplier block, which may take in its register; eight exclusive ors do not."""
    used = synthesize(SMALL, family, top="small")
    assert used.dsp == 1 and used.block_ram == 0
    assert used.lut == 8 and used.ff in (8, 8 + 16)


def test_weights_of_cells():
    """Half-size block RAMs count as half and are rounded up; what no family names counts as nothing."""
    used = FAMILIES["xilinx-7"].count({"RAMB18E1": 3, "RAMB36E1": 1, "LUT6": 5, "RAM32M": 2, "FDRE": 7, "BUFG": 1})
    assert (used.lut, used.ff, used.dsp, used.block_ram) == (13, 7, 0, 3)


@pytest.mark.slow
def test_broken_design():
    with pytest.raises(RuntimeError, match="Yosys could not synthesize the design"):
        cell_counts("module small(;", FAMILIES["ecp5"].command, "small")


@pytest.mark.slow
def test_memory_keeps_no_words():
    """A memory that begins as zeros takes the block RAMs of its words, quickly."""
    config = Config(pixels=1, lanes=4, weight_depth=1024)
    used = synthesize(to_verilog(weight_scratchpad(config), "weights"), "xilinx-7", top="weights")
    assert used.block_ram == 4 and used.lut == 0  # 1,024 words of 128 bits: 4 of 1,024 x 36
