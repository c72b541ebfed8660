"""LambdaConcept ECPIX-5 with a Lattice LFE5UM5G-85F and 512 MB of DDR3, by way of LiteX and free tools."""

from boards.board import Board, LiteX
from boards.part import LFE5UM5G_85F
from quantflow.config import Config

BOARD = Board(
    name="ecpix5-85f",
    title="LambdaConcept ECPIX-5 (Lattice ECP5 LFE5UM5G-85F)",
    part=LFE5UM5G_85F,
    clock_mhz=75,
    config=Config(
        pixels=2,
        lanes=8,
        port_bits=128,  # a word of LiteDRAM's controller for this DRAM, so that no converter stands between
        activation_depth=4096,
        weight_depth=1024,
        parameter_depth=64,
    ),
    system=LiteX(
        platform="lambdaconcept_ecpix5",
        dram_mb_s=600,  # 16 bits, four transfers in a cycle of the system's 75 MHz
    ),
    note="The DRAM runs at twice the system's clock and is calibrated by the BIOS of the system's processor.",
)
