"""Radiona ULX3S with a Lattice LFE5U-85F, whose tools (Yosys, nextpnr) are free software."""

from boards.board import Board, Resources
from quantflow.config import Config
from quantflow.cycles import MemoryTiming

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S (Lattice ECP5 LFE5U-85F)",
    part="LFE5U-85F-6BG381C",
    family="ecp5",
    clock_mhz=50,
    config=Config(
        pixels=2,
        lanes=8,
        port_bits=64,
        activation_depth=4096,
        weight_depth=2048,
        parameter_depth=64,
    ),
    resources=Resources(lut=83_640, ff=83_640, dsp=156, block_ram=208),
    memory=MemoryTiming(bytes_per_cycle=6.4),  # 80 % of what the port carries
    block_ram_kbit=18,
    templates={"accelerator.lpf": "ecp5.lpf", "build.sh": "ecp5.sh"},
    note=(
        "The accelerator is built out of context: its memory and control ports are AXI buses inside "
        "a system with an SDRAM controller and a processor, which this project does not contain."
    ),
)
