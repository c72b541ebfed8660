"""TUL PYNQ-Z2: a Zynq-7000 XC7Z020 that runs Python beside the accelerator."""

from boards.board import Board, ProcessingSystem
from boards.part import XC7Z020
from boards.zynq import NOT_RUN
from quantflow.config import Config

BOARD = Board(
    name="pynq-z2",
    title="TUL PYNQ-Z2 (Zynq-7000 XC7Z020)",
    part=XC7Z020,
    vendor_board="tul.com.tw:pynq-z2:part0",
    clock_mhz=100,
    # 384 multipliers in 192 of 220 blocks; the 4,300 weight words of ResNet-20 stay on the chip.
    config=Config(
        pixels=6,
        lanes=8,
        products_per_dsp=2,
        ports=2,
        burst_beats=16,  # what the processing system's ports take
        activation_depth=4096,
        weight_depth=5120,
        parameter_depth=128,
    ),
    # 16 bits of DDR3-1050 in one chip, by the board's manual.
    system=ProcessingSystem(
        dram_mb_s=2100,
        settings={
            "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": "50",
            "PCW_UIPARAM_DDR_PARTNO": "MT41K256M16 RE-125",
            "PCW_UIPARAM_DDR_FREQ_MHZ": "525",
            "PCW_UIPARAM_DDR_BUS_WIDTH": "16 Bit",
        },
    ),
    note=NOT_RUN,
)
