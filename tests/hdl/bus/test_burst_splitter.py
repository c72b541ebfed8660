"""BurstSplitter against its rule, which keeps AXI4's."""

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
    "four_ports": Config(pixels=1, lanes=8, port_bits=64, ports=4, burst_beats=64),
}


def split(address, beats, config):
    """(address, beats) of each burst, from the rule."""
    bursts, beat = [], address // config.beat_bytes
    longest = min(config.burst_beats, BOUNDARY_BYTES // config.port_bytes)
    while beats:
        n = min(beats, longest - beat % longest)
        bursts.append((beat * config.port_bytes, n))
        beat, beats = (beat + n) % ((1 << ADDRESS_BITS) // config.beat_bytes), beats - n
    return bursts


def random_request(rng, config):
    page_bytes = BOUNDARY_BYTES * config.ports
    near_page_end = page_bytes - config.beat_bytes * rng.randint(1, 20)
    offset = rng.choice([0, near_page_end, rng.randrange(0, page_bytes, config.beat_bytes)])
    last = (1 << ADDRESS_BITS) // page_bytes - 1
    page = page_bytes * rng.choice([0, last, rng.randint(0, last)])
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
        if not stall:  # one burst per cycle, a cycle for a request without beats, and the way in and out
            assert cycles <= len(expected) + sum(not n for _, n in requests) + 3


@pytest.mark.parametrize("name", CONFIGS)
def test_burst_splitter(name, tmp_path):
    run_bench(BurstSplitter(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})


def test_worked_by_hand():
    config = CONFIGS["narrow"]
    assert split(4096 - 8, 20, config) == [(4088, 2), (4096, 16), (4160, 2)]
    assert split(2 * 4096 - 64, 66, CONFIGS["four_ports"]) == [(2032, 2), (2048, 64)]


@pytest.mark.parametrize("name", CONFIGS)
def test_no_burst_crosses_a_page(name):
    config, rng = CONFIGS[name], random.Random(4)
    for address, beats in (burst for _ in range(200) for burst in split(*random_request(rng, config), config)):
        assert beats <= config.burst_beats
        assert address // BOUNDARY_BYTES == (address + beats * config.port_bytes - 1) // BOUNDARY_BYTES
