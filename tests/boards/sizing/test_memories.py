"""The rules for memories against Yosys' own choice."""

import json

import pytest

from boards.sizing.memories import Memory, block_rams, cover
from boards.synthesis import FAMILIES, run_yosys

# A memory with one reader, and one whose writing port reads too; nothing depends on reads beside their own writes.
SOURCE = """
module {name}(input clk, input we, re, input [{address}:0] a, b, input [{data}:0] d, output reg [{data}:0] x, y);
  (* no_rw_check *) reg [{data}:0] memory [0:{last}];
  always @(posedge clk) begin
    if (we) memory[a] <= d;
    if (re) x <= memory[b];
    {second}
  end
endmodule
"""
SHAPES = [(512, 64, True), (2048, 32, True), (700, 32, False), (64, 184, False), (32, 92, False), (256, 32, False)]
MEMORIES = [Memory(name=f"memory_{w}_{b}", words=w, bits=b, dual=dual) for w, b, dual in SHAPES]


@pytest.mark.parametrize("family", ["ecp5", "xilinx-7"])
def test_block_rams_are_those_that_yosys_takes(family):
    source = "".join(_verilog(memory) for memory in MEMORIES)
    inside = "".join(f"  (* keep *) {memory.name} inner_{memory.name}();\n" for memory in MEMORIES)
    source += f"module accelerator();\n{inside}endmodule\n"
    # Memories are mapped before registers are; what comes behind is of no interest here.
    options = {"ecp5": "-noflatten -run begin:map_gates", "xilinx-7": "-run begin:map_ffs"}[family]
    script = f"{FAMILIES[family].command} {options} -top accelerator; tee -q -o cells.json stat -json"
    modules = json.loads(run_yosys(source, script, "cells.json"))["modules"]
    for memory in MEMORIES:
        used = FAMILIES[family].count(modules[f"\\{memory.name}"]["num_cells_by_type"])
        assert used.block_ram == block_rams([memory], family), memory
        assert (used.block_ram == 0) == (cover(memory, family).lut > 0), memory


def _verilog(memory):
    address, second = (memory.words - 1).bit_length() - 1, "y <= memory[a];" if memory.dual else ""
    return SOURCE.format(name=memory.name, address=address, data=memory.bits - 1, last=memory.words - 1, second=second)


def test_a_deeper_or_wider_memory_takes_no_fewer():
    for family in ("ecp5", "xilinx-7", "gowin", "ice40"):
        for dual in (False, True):
            counts = [
                [block_rams([Memory(name="m", words=1 << w, bits=b, dual=dual)], family) for w in range(8, 15)]
                for b in (8, 32, 72, 256)
            ]
            assert all(row == sorted(row) for row in counts)
            assert all(list(column) == sorted(column) for column in zip(*counts, strict=True))


def test_ice40_reads_twice_from_two_copies():
    one, two = (block_rams([Memory(name="m", words=512, bits=16, dual=dual)], "ice40") for dual in (False, True))
    assert two == 2 * one
