"""WeightUnpacker against packing in Python, every element width of each configuration."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from hdl.transfer.weight_unpacker import WeightUnpacker, weight_width_codes
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import collect, send

CONFIGS = {
    "four_bit": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4),
    "six_bit": Config(pixels=2, lanes=8, port_bits=64, weight_bits=6),
    "two_ports": Config(pixels=2, lanes=8, port_bits=64, ports=2),
    "two_lanes": Config(pixels=2, lanes=2, port_bits=32, weight_bits=4),
}


def pack(elements, width):
    """Two's-complement elements as one integer, the first lowest."""
    return sum((element & ((1 << width) - 1)) << (n * width) for n, element in enumerate(elements))


def beats_of(word, count, beat_bits):
    return [(word >> (n * beat_bits)) & ((1 << beat_bits) - 1) for n in range(count)]


def random_weights(rng, config, width):
    bits = min(width, config.weight_bits)
    return [rng.randint(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) for _ in range(config.lanes**2)]


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def unpacks_every_width(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(11)
    words = []
    dut.beats__valid.value = dut.words__ready.value = dut.rst.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    cocotb.start_soon(collect(dut, "words", words, rng))
    for code, width in weight_width_codes(config).items():
        dut.width.value = code
        await ClockCycles(dut.clk, 2)
        expected = [random_weights(rng, config, width) for _ in range(30)]
        beats = [
            beat
            for weights in expected
            for beat in beats_of(pack(weights, width), config.weight_word_beats(width), config.beat_bits)
        ]
        await send(dut, "beats", beats, rng)
        await ClockCycles(dut.clk, 20)
        assert words == [pack(weights, config.weight_bits) for weights in expected], f"width {width}"
        words.clear()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def takes_a_beat_per_cycle(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(12)
    words = []
    dut.beats__valid.value = dut.rst.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    cocotb.start_soon(collect(dut, "words", words, rng, stall=0))
    code, width = max(weight_width_codes(config).items())
    dut.width.value = code
    await ClockCycles(dut.clk, 2)
    start = get_sim_time("ns")
    beats = 10 * config.weight_word_beats(width)
    await send(dut, "beats", [rng.getrandbits(config.beat_bits) for _ in range(beats)], rng, stall=0)
    assert (get_sim_time("ns") - start) // 10 == beats
    await ClockCycles(dut.clk, 1 + WeightUnpacker(config).latency)
    assert len(words) == 10


@pytest.mark.parametrize("name", CONFIGS)
def test_weight_unpacker(name, tmp_path):
    run_bench(WeightUnpacker(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})


def test_width_codes():
    assert weight_width_codes(CONFIGS["four_bit"]) == {0: 2, 1: 4}
    assert weight_width_codes(CONFIGS["six_bit"]) == {0: 2, 1: 4, 2: 8}
    assert weight_width_codes(CONFIGS["two_lanes"]) == {2: 8}
