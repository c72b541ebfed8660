"""Xilinx ZC706: a Zynq-7000 XC7Z045, the largest here."""

from boards.board import Board, ProcessingSystem
from boards.part import XC7Z045
from boards.zynq import NOT_RUN
from quantflow.config import Config

BOARD = Board(
    name="zc706",
    title="Xilinx ZC706 (Zynq-7000 XC7Z045)",
    part=XC7Z045,
    vendor_board="xilinx.com:zc706:part0",
    clock_mhz=150,
    # 1,792 multipliers in 896 of 900 blocks; P = 7 divides the widths of networks for images of 224 x 224.
    config=Config(
        pixels=7,
        lanes=16,
        requantizers=2,
        products_per_dsp=2,
        ports=4,
        burst_beats=16,  # what the processing system's ports take
        activation_depth=12288,
        weight_depth=2048,
        parameter_depth=256,
    ),
    # 32 bits of DDR3-1066 in four chips (Xilinx UG954).
    system=ProcessingSystem(
        dram_mb_s=4264,
        settings={
            "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": "33.333333",
            "PCW_UIPARAM_DDR_PARTNO": "MT41J256M8 HX-15E",
            "PCW_UIPARAM_DDR_FREQ_MHZ": "533.333333",
            "PCW_UIPARAM_DDR_BUS_WIDTH": "32 Bit",
        },
    ),
    note=NOT_RUN,
)
