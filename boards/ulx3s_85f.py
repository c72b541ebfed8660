"""Radiona ULX3S with a Lattice LFE5U-85F, whose tools (Yosys, nextpnr) are free software."""

from boards.board import Board, OnChip
from boards.part import LFE5U_85F
from quantflow.config import Config

BOARD = Board(
    name="ulx3s-85f",
    title="Radiona ULX3S (Lattice ECP5 LFE5U-85F)",
    part=LFE5U_85F,
    clock_mhz=60,
    config=Config(
        pixels=2,
        lanes=8,
        port_bits=64,
        activation_depth=4096,
        weight_depth=1024,
        parameter_depth=64,
    ),
    # Pins as in amaranth-boards' `ulx3s`: the 25 MHz oscillator, the FTDI chip, button "fire 1", the outer LEDs;
    # the ESP32's GPIO0, which the board's own examples hold high to keep it from rebooting.
    system=OnChip(
        oscillator_mhz=25,
        pins={"clock": "G2", "rx": "M1", "tx": "L4", "reset": "R1"}
        | {"led_busy": "B2", "led_error": "H3", "high_gpio0": "L2"},
    ),
)
