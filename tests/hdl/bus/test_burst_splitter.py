"""BurstSplitter against AXI4's rules and against the shortest possible list of bursts."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

from hdl.bus.axi import ADDRESS_BITS, BOUNDARY_BYTES, burst_layout, request_layout
from hdl.bus.burst_splitter import BurstSplitter
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import collect, reset, send, until_holds

CONFIGS = {
    "narrow": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, burst_beats=16),
    "pages_shorter_than_bursts": Config(pixels=1, lanes=32, port_bits=256, burst_beats=256),
}


def split(address, beats, config):
    """(address, beats) of each burst, from the rule."""
    bursts = []
    while beats:
        room = (BOUNDARY_BYTES - address % BOUNDARY_BYTES) // config.port_bytes
        n = min(beats, config.burst_beats, room)
        bursts.append((address, n))
        address, beats = (address + n * config.port_bytes) % (1 << ADDRESS_BITS), beats - n
    return bursts


def random_request(rng, config):
    near_page_end = BOUNDARY_BYTES - config.port_bytes * rng.randint(1, 20)
    offset = rng.choice([0, near_page_end, rng.randrange(0, BOUNDARY_BYTES, config.port_bytes)])
    page = rng.choice([0, (1 << ADDRESS_BITS) - BOUNDARY_BYTES, BOUNDARY_BYTES * rng.randrange(1 << 20)])
    return page + offset, rng.choice([0, 1, config.burst_beats, rng.randint(1, 20), rng.randint(1, 1200)])


def pack(layout, **fields):
    return layout.const(fields).as_value().value


def unpack_burst(config, payload):
    burst = burst_layout(config).from_bits(payload)
    return burst.address, burst.length + 1


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def splits_requests(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(3)
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, requests__valid=0, bursts__ready=0)
    for stall in (0, 0.5):
        requests = [random_request(rng, config) for _ in range(80)]
        expected = [burst for request in requests for burst in split(*request, config)]
        words = [pack(request_layout(config), address=a, beats=n) for a, n in requests]
        seen = []
        cocotb.start_soon(send(dut, "requests", words, rng, stall))
        collector = cocotb.start_soon(collect(dut, "bursts", seen, rng, stall))
        cycles = await until_holds(dut, seen, len(expected), 20000)
        await ClockCycles(dut.clk, 5)
        collector.cancel()
        assert [unpack_burst(config, payload) for payload in seen] == expected
        if not stall:  # one burst per cycle, one more cycle per request, and the way in and out
            assert cycles <= len(expected) + len(requests) + 2


@pytest.mark.parametrize("name", CONFIGS)
def test_burst_splitter(name, tmp_path):
    run_bench(BurstSplitter(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})


def test_worked_by_hand():
    config = CONFIGS["narrow"]
    assert split(4096 - 8, 20, config) == [(4088, 2), (4096, 16), (4160, 2)]
