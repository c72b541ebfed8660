"""MapWalker against the formula of isa.Map."""

import os
import random
from types import SimpleNamespace

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from hdl.transfer.map_walker import MapWalker, walk_layout
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.maps import places, random_map_fields

CONFIGS = {
    "three_banks": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, activation_depth=100),
    "one_bank": Config(pixels=1, lanes=4, port_bits=32, activation_depth=64),
}


def pack_walk(fields, config):
    """The walk port as an integer; an isa.Map's fields lie as in an instruction."""
    value, offset = isa.encode(fields["map"], config), isa.struct_bits(isa.Map, config)
    assert walk_layout(config)["rows"].offset == offset
    for name in ("rows", "columns", "blocks"):
        value |= fields[name] << offset
        offset += config.extent_bits
    return value


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def walks_maps_in_order(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(7)
    dut.start.value = dut.step.value = 0
    dut.rst.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    for _ in range(60):
        fields = random_map_fields(rng, config)
        await FallingEdge(dut.clk)
        dut.walk.value = pack_walk(fields, config)
        dut.start.value = 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        dut.walk.value = rng.getrandbits(walk_layout(config).size)
        words = list(places(SimpleNamespace(**fields), config))
        n = 0
        while n < len(words):
            seen = (int(dut.bank.value), int(dut.address.value))
            assert seen == words[n], f"{fields}: word {n} is at {seen}, expected {words[n]}"
            assert dut.last.value == (n == len(words) - 1)
            step = rng.random() < 0.7
            dut.step.value = step
            await FallingEdge(dut.clk)
            n += step
        dut.step.value = 0


@pytest.mark.parametrize("name", CONFIGS)
def test_map_walker(name, tmp_path):
    run_bench(MapWalker(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
