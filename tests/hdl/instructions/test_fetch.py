"""Fetch before a memory of random timing: words, claims, cycles, restart after a reset."""

import os
import random
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.bus.axi import BOUNDARY_BYTES, burst_layout
from hdl.instructions.fetch import Fetch
from quantflow.config import Config
from quantflow.isa import instruction_bits
from sim.bench import run_bench
from tests.hdl.streams import collect, reset, until

CONFIGS = {
    "narrow": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, burst_beats=16),
    "one at a time": Config(pixels=1, lanes=2, port_bits=32, burst_beats=16, overlap=False),
    "wide": Config(pixels=1, lanes=32, port_bits=256, burst_beats=64),
}
LATENCY = 10


def word_at(address):
    """What the memory holds: 16 bits made of each beat's address, so that every beat differs."""
    return random.Random(address).getrandbits(32)


def program(config, address, length):
    """The instruction words from `address` on."""
    beats = instruction_bits(config) // config.port_bits
    words = []
    for n in range(length):
        start = address + n * beats * config.port_bytes
        words.append(sum(word_at(start + k * config.port_bytes) << k * config.port_bits for k in range(beats)))
    return words


async def memory(dut, config, rng, stall):
    """Answer bursts LATENCY cycles later; asserts that the beats never have to wait."""
    due, now = deque(), 0
    while True:
        dut.bursts__ready.value = rng.random() >= stall
        offered = bool(due and due[0][0] <= now and rng.random() >= stall)
        dut.beats__valid.value = offered
        if offered:
            dut.beats__payload.value = word_at(due.popleft()[1])
        await RisingEdge(dut.clk)
        now += 1
        assert not offered or int(dut.beats__ready.value), "a beat that was asked for has no room"
        if int(dut.bursts__valid.value) and int(dut.bursts__ready.value):
            burst = burst_layout(config).from_bits(int(dut.bursts__payload.value))
            due += [(now + LATENCY, burst.address + k * config.port_bytes) for k in range(burst.length + 1)]


async def begin(dut, address, length):
    dut.program_address.value, dut.program_length.value, dut.start.value = address, length, 1
    await RisingEdge(dut.clk)
    assert not int(dut.idle.value), "idle in the cycle of start"
    dut.start.value = 0
    dut.program_address.value, dut.program_length.value = 0, 0


async def fetched(dut, config, rng, stall, address, length):
    """Run one program through; returns the cycles until it is idle."""
    seen = []
    collector = cocotb.start_soon(collect(dut, "instructions", seen, rng, stall))
    await begin(dut, address, length)
    cycles = await until(dut, lambda: int(dut.idle.value), 20000)
    assert len(seen) == length, "idle before the last instruction was taken"
    await ClockCycles(dut.clk, 3)
    collector.cancel()
    assert seen == program(config, address, length)
    return cycles


async def prepare(dut, rng, config, stall):
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, start=0, bursts__ready=0, beats__valid=0, instructions__ready=0)
    return cocotb.start_soon(memory(dut, config, rng, stall))


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def delivers_programs(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(31)
    await prepare(dut, rng, config, 0.4)
    for stall in (0, 0.5, 0.95):
        for length in (1, 2, 17):
            address = BOUNDARY_BYTES * rng.randrange(1 << 19) - config.port_bytes * rng.randrange(1, 20)
            await fetched(dut, config, rng, stall, address, length)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def an_empty_program_is_over_at_once(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    await prepare(dut, random.Random(0), config, 0)
    await begin(dut, 4096, 0)
    await RisingEdge(dut.clk)
    assert int(dut.idle.value) and not int(dut.bursts__valid.value)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def latency_is_paid_once_per_prefetch(dut):
    """As many cycles as beats where the prefetch covers the latency."""
    config = CONFIGS[os.environ["CONFIG"]]
    beats = instruction_bits(config) // config.port_bits
    await prepare(dut, random.Random(0), config, 0)
    cycles = await fetched(dut, config, random.Random(0), 0, 8192, 20)
    round_trip = beats + LATENCY + 5
    assert cycles <= round_trip + 19 * max(beats, -(-round_trip // Fetch(config).prefetch)) + 2


@cocotb.test(timeout_time=500, timeout_unit="us")
async def starts_again_after_a_reset_in_mid_run(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(33)
    for _ in range(10):
        answering = await prepare(dut, rng, config, 0.2)
        collector = cocotb.start_soon(collect(dut, "instructions", [], rng))
        await begin(dut, 4096, 9)
        await ClockCycles(dut.clk, rng.randrange(100))
        answering.cancel()
        collector.cancel()
        answering = await prepare(dut, rng, config, 0.2)
        assert int(dut.idle.value)
        await fetched(dut, config, rng, 0.2, 12288, 3)
        answering.cancel()


@pytest.mark.parametrize("name", CONFIGS)
def test_fetch(name, tmp_path):
    run_bench(Fetch(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
