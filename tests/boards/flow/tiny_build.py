"""A build folder whose machine is a few registers: all of the open tools' way in seconds."""

from dataclasses import replace

import boards
from boards.board import OnChip
from boards.on_chip.constraints import WRITERS
from boards.on_chip.top import top_verilog
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import Manifest
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=1, lanes=2, port_bits=32)
BOARD = replace(boards.find("ulx3s-85f"), config=CONFIG, clock_mhz=50)
ACCELERATOR = """
module accelerator(input clk, input rx, output reg tx);
  reg [15:0] a, b;
  reg [31:0] product;
  reg [7:0] memory [0:511];
  reg [7:0] word;
  always @(posedge clk) begin
    a <= {a, rx};
    b <= b + a;
    product <= a * b;
    word <= memory[b[8:0]];
    if (rx) memory[a[8:0]] <= product;
    tx <= ^product ^ ^word;
  end
endmodule
"""
SYSTEM = """
module system(input clk, input rst, input rx, output tx, output busy, output failed, input [15:0] bit_cycles);
  reg [25:0] count;
  always @(posedge clk) count <= rst ? 0 : count + bit_cycles;
  assign busy = count[25], failed = ~count[25];
  accelerator accelerator(.clk(clk), .rx(rx), .tx(tx));
endmodule
"""


def write_tiny_build(folder, board=BOARD):
    """Write a build folder with a manifest of a small network; returns the manifest."""
    quantized = RandomNetwork(1, (1, 4, 4)).convolution(2, (2, 2)).dense(3, relu=False).finish()
    manifest = Manifest.of(compile_network(quantized, board.config), board)
    folder.mkdir()
    manifest.write(folder)
    board.write(folder)
    texts = {"accelerator.v": ACCELERATOR, "system.v": SYSTEM}
    if isinstance(board.system, OnChip):
        name, write = WRITERS[board.part.family]
        texts |= {"top.v": top_verilog(board, board.clock_mhz), name: write(board.system)}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return manifest
