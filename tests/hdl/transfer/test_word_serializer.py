"""WordSerializer against slicing in Python."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time

from hdl.transfer.word_serializer import WordSerializer
from sim.bench import run_bench
from tests.hdl.streams import collect, send

BEAT_BITS = 32
WORDS = 100


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(stall=[0, 0.3])
async def cuts_words(dut, stall):
    count = int(os.environ["COUNT"])
    rng = random.Random(22)
    beats = []
    dut.words__valid.value = dut.beats__ready.value = dut.rst.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    cocotb.start_soon(collect(dut, "beats", beats, rng, stall))
    await ClockCycles(dut.clk, 1)
    begin = get_sim_time("ns")
    words = [rng.getrandbits(BEAT_BITS * count) for _ in range(WORDS)]
    await send(dut, "words", words, rng, stall)
    cycles = (get_sim_time("ns") - begin) // 10
    await ClockCycles(dut.clk, 20 * count)
    assert dut.busy.value == 0
    mask = (1 << BEAT_BITS) - 1
    assert beats == [(word >> (BEAT_BITS * n)) & mask for word in words for n in range(count)]
    if stall == 0:  # every word but the last waits for the beats of the one before
        assert cycles == (WORDS - 1) * count + 1


@pytest.mark.parametrize("count", [1, 4])
def test_word_serializer(count, tmp_path):
    run_bench(WordSerializer(BEAT_BITS, count), __name__, tmp_path, environment={"COUNT": str(count)})
