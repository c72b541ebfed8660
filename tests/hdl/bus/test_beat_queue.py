"""Queues of a single word and of several: order, stalls, full rate."""

import os
import random

import cocotb
import pytest
from amaranth import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from hdl.bus.beat_queue import beat_queue
from sim.bench import run_bench
from tests.hdl.streams import collect, reset, send, until_holds

WIDTH = 17


class Bench(wiring.Component):
    """The queue behind streams of this bench's names."""

    def __init__(self, depth):
        self.depth = depth
        word = stream.Signature(unsigned(WIDTH))
        super().__init__({"i": In(word), "o": Out(word)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = beat_queue(WIDTH, self.depth)
        connect(m, flipped(self.i), queue.w_stream)
        connect(m, queue.r_stream, flipped(self.o))
        return m


@cocotb.test(timeout_time=500, timeout_unit="us")
async def words_pass_in_order(dut):
    rng = random.Random(1)
    Clock(dut.clk, 10, unit="ns").start()
    for stall in (0, 0.5):
        await reset(dut, i__valid=0, o__ready=0)
        words, received = [rng.getrandbits(WIDTH) for _ in range(200)], []
        collecting = cocotb.start_soon(collect(dut, "o", received, rng, stall))
        sending = cocotb.start_soon(send(dut, "i", words, rng, stall))
        if stall:
            await until_holds(dut, received, len(words))
        else:
            await ClockCycles(dut.clk, len(words) + 2)  # a word in every cycle
        assert received == words
        collecting.cancel()
        await sending


@cocotb.test(timeout_time=100, timeout_unit="us")
async def as_many_wait_as_there_is_room_for(dut):
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, i__valid=1, i__payload=3, o__ready=0)
    taken = 0
    for _ in range(20):
        taken += int(dut.i__ready.value)
        await ClockCycles(dut.clk, 1)
    assert taken == int(os.environ["DEPTH"])


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_beat_queue(depth, tmp_path):
    run_bench(Bench(depth), __name__, tmp_path, environment={"DEPTH": str(depth)})
