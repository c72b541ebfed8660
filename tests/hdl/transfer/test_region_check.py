"""RegionCheck at its bounds: the last beat inside, the first one outside, sums beyond 32 bits, regions only read."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

from hdl.transfer.region_check import RegionCheck
from quantflow.config import Config
from quantflow.isa import WRITABLE, Region
from quantflow.registers import UNBOUNDED
from sim.bench import run_bench
from tests.hdl.streams import reset

CONFIG = Config(pixels=3, lanes=4, port_bits=64, ports=2)
MOST_BEATS = (1 << 24) - 1


def random_case(rng):
    """(sizes, region, memory address, beats) near the end of the region."""
    sizes = [rng.choice([0, UNBOUNDED, rng.getrandbits(32), rng.getrandbits(12)]) for _ in Region]
    region, beats = rng.randrange(len(Region)), rng.choice([1, rng.randint(1, 100), MOST_BEATS])
    address = sizes[region] - beats * CONFIG.beat_bytes + rng.choice([-16, -1, 0, 1, 16, 1 << 20])
    return sizes, region, address % (1 << 32), beats


@cocotb.test(timeout_time=500, timeout_unit="us")
async def requests_pass_inside_their_region(dut):
    rng = random.Random(6)
    Clock(dut.clk, 10, unit="ns").start()
    for store in [False, True] * 400:
        await reset(dut, take=0, requests__valid=0, passed__ready=1)
        sizes, region, address, beats = random_case(rng)
        dut.sizes.value = sum(size << 32 * n for n, size in enumerate(sizes))
        dut.region.value, dut.memory_address.value, dut.beats.value, dut.take.value = region, address, beats, 1
        dut.store.value = store
        await RisingEdge(dut.clk)
        dut.take.value, dut.memory_address.value, dut.beats.value = 0, 0, MOST_BEATS
        dut.requests__valid.value, dut.requests__payload.value = 1, rng.getrandbits(56)
        await ReadOnly()
        inside = address + beats * CONFIG.beat_bytes <= sizes[region] and (region in WRITABLE or not store)
        assert dut.error.value == (not inside), (sizes, region, address, beats)
        assert dut.passed__valid.value == inside and dut.requests__ready.value == inside
        assert dut.passed__payload.value == dut.requests__payload.value
        await RisingEdge(dut.clk)


def test_region_check(tmp_path):
    run_bench(RegionCheck(CONFIG), __name__, tmp_path)
