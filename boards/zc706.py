"""Xilinx ZC706: a Zynq-7000 XC7Z045, the processing system's DDR3 behind a 64-bit HP port."""

from boards.board import Board, ProcessingSystem
from boards.part import XC7Z045
from quantflow.config import Config

BOARD = Board(
    name="zc706",
    title="Xilinx ZC706 (Zynq-7000 XC7Z045)",
    part=XC7Z045,
    vendor_board="xilinx.com:zc706:part0:1.4",
    clock_mhz=125,
    # P = 7 divides the widths of image networks. Two pixels leave the requantizer per cycle, so
    # that a group drains in 4 cycles, sooner than a 5 x 5 kernel's folded first layer needs.
    config=Config(
        pixels=7,
        lanes=8,
        requantizers=2,
        port_bits=64,
        activation_depth=8192,
        weight_depth=8192,
        parameter_depth=128,
    ),
    system=ProcessingSystem(dram_mb_s=4264),  # 32 bits of DDR3-1066
    note="build.tcl targets Vivado 2020 or later and has not been run: no Vivado was at hand.",
)
