"""1BitSquared iCEBreaker with a Lattice iCE40UP5K, the smallest part here; its tools are free software."""

from boards.board import Board, OnChip
from boards.part import ICE40UP5K
from quantflow.config import Config
from quantflow.cycles import MemoryTiming

BOARD = Board(
    name="icebreaker",
    title="1BitSquared iCEBreaker (Lattice iCE40UP5K)",
    part=ICE40UP5K,
    clock_mhz=18,
    config=Config(
        pixels=1,
        lanes=2,
        port_bits=32,
        overlap=False,
        accumulator_bits=24,
        activation_depth=1024,
        weight_depth=1024,
        parameter_depth=32,
        burst_beats=64,
        outstanding_bursts=1,
        waiting_beats=1,
        extent_bits=6,
        phase_bits=0,
        residuals=False,
        memory_address_bits=17,
        counters=False,
        profile_depth=0,
    ),
    given_memory=MemoryTiming(latency=2),  # of hdl.system's SinglePortMemory
    # Pins as in amaranth-boards' `icebreaker`: the 12 MHz oscillator, the FTDI chip, the user's button, both LEDs.
    system=OnChip(
        oscillator_mhz=12,
        pins={"clock": "35", "rx": "6", "tx": "9", "reset": "10", "led_busy": "37", "led_error": "11"},
        reset_active_low=True,
        led_active_low=True,
    ),
    note="The machine fills the part: it does one instruction after the other, and knows no residuals.",
)
