"""DrainBank: which pixels leave in which cycle, loads as close as they may come."""

import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.drain_bank import DrainBank
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_integers, to_port

CONFIGS = {
    f"{pixels}_by_{requantizers}": Config(
        pixels=pixels,
        lanes=2,
        requantizers=requantizers,
        activation_bits=9,
        weight_bits=5,
        accumulator_bits=17,
        port_bits=32,
    )
    for pixels, requantizers in ((1, 1), (3, 2), (4, 3), (7, 2))
}


def drained(group, cycle, config):
    """The R words of one drain cycle, from a group's words [P, lanes]."""
    words = np.zeros((config.requantizers, config.lanes), dtype=np.int64)
    for j in range(config.requantizers):
        pixel = cycle + j * config.drain_cycles
        if pixel < config.pixels:
            words[j] = group[pixel]
    return words


@cocotb.test(timeout_time=100, timeout_unit="us")
async def words_leave_in_order(dut):
    config, rng = CONFIGS[os.environ["CONFIG"]], np.random.default_rng(6)
    bits, idle = config.accumulator_bits, {"load": 0}
    cycles, expected = [idle], {}
    for _ in range(60):
        group = random_integers(rng, bits, (config.pixels, config.lanes))
        start = len(cycles) + DrainBank.latency
        expected |= {start + k: drained(group, k, config) for k in range(config.drain_cycles)}
        cycles.append({"load": 1, "accumulators": to_port(group, bits)})
        junk = {"load": 0, "accumulators": to_port(~group, bits)}
        cycles += [junk] * (config.drain_cycles - 1 + int(rng.choice([0, 0, 1, 3])))
    recorded = await play(dut, cycles + [idle] * (config.drain_cycles + 1), ["words", "valid"])
    assert [cycle for cycle, outputs in enumerate(recorded) if outputs["valid"]] == list(expected)
    for cycle, words in expected.items():
        np.testing.assert_array_equal(from_port(recorded[cycle]["words"], bits, words.shape), words)


@pytest.mark.parametrize("name", CONFIGS)
def test_drain_bank(name, tmp_path):
    run_bench(DrainBank(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
