"""WordAssembler against slicing in Python."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from hdl.transfer.word_assembler import WordAssembler
from sim.bench import run_bench
from tests.hdl.streams import collect, send

BEAT_BITS = 32
WORDS = 100


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def joins_beats(dut):
    count = int(os.environ["COUNT"])
    rng = random.Random(21)
    words = []
    dut.beats__valid.value = dut.words__ready.value = dut.rst.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    cocotb.start_soon(collect(dut, "words", words, rng))
    expected = [rng.getrandbits(BEAT_BITS * count) for _ in range(WORDS)]
    mask = (1 << BEAT_BITS) - 1
    beats = [(word >> (BEAT_BITS * n)) & mask for word in expected for n in range(count)]
    await send(dut, "beats", beats, rng)
    await ClockCycles(dut.clk, 20)
    assert words == expected


@pytest.mark.parametrize("count", [1, 5])
def test_word_assembler(count, tmp_path):
    run_bench(WordAssembler(BEAT_BITS, count), __name__, tmp_path, environment={"COUNT": str(count)})
