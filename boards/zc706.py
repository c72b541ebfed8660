"""Xilinx ZC706: a Zynq-7000 XC7Z045, the processing system's DDR3 behind a 64-bit HP port."""

from boards.board import Board, Resources
from quantflow.config import Config
from quantflow.cycles import MemoryTiming

BOARD = Board(
    name="zc706",
    title="Xilinx ZC706 (Zynq-7000 XC7Z045)",
    part="xc7z045ffg900-2",
    vendor_board="xilinx.com:zc706:part0:1.4",
    family="xilinx-7",
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
    resources=Resources(lut=218_600, ff=437_200, dsp=900, block_ram=545),
    memory=MemoryTiming(bytes_per_cycle=6.4),  # 80 % of what the port carries
    block_ram_kbit=36,
    templates={"accelerator.xdc": "xilinx.xdc", "build.tcl": "zynq.tcl", "accelerator_ip.v": "zynq_ip.v"},
    note="build.tcl targets Vivado 2020 or later and has not been run: no Vivado was at hand.",
)
