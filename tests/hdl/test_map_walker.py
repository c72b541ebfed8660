"""MapWalker against the formula of isa.Map."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from hdl.map_walker import MapWalker, walk_layout
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench

CONFIGS = {
    "three_banks": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, activation_depth=100),
    "one_bank": Config(pixels=1, lanes=4, port_bits=32, activation_depth=64),
}


def random_walk(rng, config):
    """A map, mostly small; strides and addresses are any, sums wrap."""
    top = (1 << config.activation_address_bits) - 1
    map_ = isa.Map(
        address=rng.randint(0, top),
        row_stride=rng.randint(0, top),
        block_stride=rng.randint(0, top),
        phase_stride=rng.randint(0, top),
        phases=rng.choice([1, 1, 2, 3, 4, 7]),
    )
    return map_, {"rows": rng.randint(1, 4), "columns": rng.randint(1, 12), "blocks": rng.randint(1, 4)}


def expected_words(map_, rows, columns, blocks, config):
    """(bank, address) in memory's order."""
    words = []
    for y in range(rows):
        for x in range(columns):
            unit, phase = divmod(x, map_.phases)
            group, bank = divmod(unit, config.pixels)
            for c in range(blocks):
                address = map_.address + y * map_.row_stride + c * map_.block_stride
                address += phase * map_.phase_stride + group
                words.append((bank, address % (1 << config.activation_address_bits)))
    return words


def pack_walk(map_, extents, config):
    """The walk port as an integer; an isa.Map's fields lie as in an instruction."""
    value, offset = isa.encode(map_, config), isa.struct_bits(isa.Map, config)
    assert walk_layout(config)["rows"].offset == offset
    for name in ("rows", "columns", "blocks"):
        value |= extents[name] << offset
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
        map_, extents = random_walk(rng, config)
        await FallingEdge(dut.clk)
        dut.walk.value = pack_walk(map_, extents, config)
        dut.start.value = 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        dut.walk.value = rng.getrandbits(walk_layout(config).size)
        words = expected_words(map_, **extents, config=config)
        n = 0
        while n < len(words):
            seen = (int(dut.bank.value), int(dut.address.value))
            assert seen == words[n], f"{map_} {extents}: word {n} is at {seen}, expected {words[n]}"
            assert dut.last.value == (n == len(words) - 1)
            step = rng.random() < 0.7
            dut.step.value = step
            await FallingEdge(dut.clk)
            n += step
        dut.step.value = 0


@pytest.mark.parametrize("name", CONFIGS)
def test_map_walker(name, tmp_path):
    run_bench(MapWalker(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
