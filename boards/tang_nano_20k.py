"""Sipeed Tang Nano 20K with a Gowin GW2AR-18, for which Yosys, nextpnr and Apicula make bitstreams."""

from boards.board import Board, OnChip
from boards.part import GW2AR_18
from quantflow.config import Config

BOARD = Board(
    name="tang-nano-20k",
    title="Sipeed Tang Nano 20K (Gowin GW2AR-18)",
    part=GW2AR_18,
    clock_mhz=27,
    config=Config(
        pixels=2,
        lanes=4,
        port_bits=32,
        activation_depth=1024,
        weight_depth=512,
        parameter_depth=32,
        queue_depth=2,
        burst_beats=16,
        outstanding_bursts=2,
    ),
    # Pins as in litex-boards' `sipeed_tang_nano_20k` (amaranth-boards has no such board): the 27 MHz oscillator, the
    # USB bridge, the outer two of six LEDs. It does not say which level of the buttons is "pressed": none resets.
    system=OnChip(
        oscillator_mhz=27,
        pins={"clock": "4", "rx": "70", "tx": "69", "led_busy": "15", "led_error": "20"},
        led_active_low=True,
    ),
)
