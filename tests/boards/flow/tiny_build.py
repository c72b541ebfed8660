"""A build folder whose machine is a few registers: all of the open tools' way in seconds."""

from dataclasses import replace

import boards
from boards.board import Board
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import Manifest
from tests.quantflow.networks import RandomNetwork

BOARD = replace(boards.find("ulx3s-85f"), config=Config(pixels=1, lanes=2, port_bits=32), clock_mhz=50)
ACCELERATOR = """
module accelerator(input clk, input rx, output reg tx);
  reg [15:0] a, b;
  reg [31:0] product;
  reg [7:0] memory [0:511];
  reg [7:0] word;
  integer memory_row;
  initial for (memory_row = 0; memory_row < 512; memory_row = memory_row + 1)
    memory[memory_row] = 0;
  always @(posedge clk) begin
    a <= {a, rx};
    b <= b + a;
    product <= %s;
    word <= memory[b[8:0]];
    if (rx) memory[a[8:0]] <= product;
    tx <= ^product ^ ^word;
  end
endmodule
"""
SYSTEM = """
module system(input clk, input rx, output tx);
  accelerator accelerator(.clk(clk), .rx(rx), .tx(tx));
endmodule
"""
# 25 MHz / 1 * 2 = 50 MHz; the VCO runs at 50 MHz * 12.
TOP = """
module top(input clock, input rx, output tx);
  wire clk;
  EHXPLLL #(.CLKI_DIV(1), .CLKFB_DIV(2), .CLKOP_DIV(12), .CLKOP_CPHASE(11), .FEEDBK_PATH("CLKOP"),
            .CLKOP_ENABLE("ENABLED")) pll(
    .CLKI(clock), .CLKOP(clk), .CLKFB(clk), .RST(1'b0), .STDBY(1'b0), .ENCLKOP(1'b0),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b0), .PHASESTEP(1'b0), .PHASELOADREG(1'b0), .PLLWAKESYNC(1'b0));
  system system(.clk(clk), .rx(rx), .tx(tx));
endmodule
"""
CONSTRAINTS = """
FREQUENCY PORT "clock" 25 MHZ;
LOCATE COMP "clock" SITE "G2";
LOCATE COMP "rx" SITE "M1";
LOCATE COMP "tx" SITE "L4";
"""
FAST, SLOW = "a * b", "a * b / 17 * (a + 1)"  # what one cycle computes: a division takes far longer than 20 ns


def write_tiny_build(folder, *, board=BOARD, computes=FAST):
    """Write a build folder with a manifest of a small network; returns the manifest."""
    quantized = RandomNetwork(1, (1, 4, 4)).convolution(2, (2, 2)).dense(3, relu=False).finish()
    manifest = Manifest.of(compile_network(quantized, board.config), board)
    folder.mkdir()
    manifest.write(folder)
    board.write(folder)
    texts = {"accelerator.v": ACCELERATOR % computes, "system.v": SYSTEM, "top.v": TOP, "board.lpf": CONSTRAINTS}
    for name, text in texts.items():
        (folder / name).write_text(text)
    assert Board.read(folder) == board
    return manifest
