"""MacArray against numpy: groups of random length and of several passes, idle cycles inside and between them."""

import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.mac_array import MacArray
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.datapath.operands import random_operands
from tests.hdl.pipelines import from_port, play, random_groups, random_integers, to_port

CONFIGS = {
    "two_lanes": Config(pixels=3, lanes=2, activation_bits=12, weight_bits=5, accumulator_bits=19, port_bits=32),
    "four_lanes": Config(pixels=2, lanes=4, port_bits=32),
    "two_products_per_dsp": Config(pixels=2, lanes=4, port_bits=32, products_per_dsp=2),
    "two_4_bit_weights_per_dsp": Config(pixels=2, lanes=4, weight_bits=4, port_bits=32, products_per_dsp=2),
}


def wrap(sums, bits):
    """Integers modulo 2**bits, signed."""
    return (sums + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def group_sums(cycles, activations, weights, config):
    """What each cycle's group comes to at its last step: {cycle: [P, O]}."""
    results, sums = {}, None
    for cycle, marks in enumerate(cycles):
        if marks["valid"]:
            step = activations[cycle] @ weights[cycle].T
            kept = 0 if marks["first"] else sums << config.pass_shift * marks["shift"]
            sums = wrap(kept + step, config.accumulator_bits)
            if marks["last"]:
                results[cycle] = sums
    return results


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sums_of_groups(dut):
    config, rng = CONFIGS[os.environ["CONFIG"]], np.random.default_rng(2)
    pixels, lanes = config.pixels, config.lanes
    idle = {"valid": 0}
    cycles = random_groups(rng, 100, 12)
    activations = random_operands(rng, config, (len(cycles), pixels, lanes))
    weights = random_integers(rng, config.weight_bits, (len(cycles), lanes, lanes))
    for marks, taps, word in zip(cycles, activations, weights, strict=True):
        marks["activations"] = to_port(taps, config.operand_bits)
        marks["weights"] = to_port(word, config.weight_bits)
        marks["shift"] = int(rng.integers(4) == 0)
    expected = group_sums(cycles, activations, weights, config)
    latency = MacArray(config).latency
    recorded = await play(dut, cycles + [idle] * latency, ["accumulators", "done"])
    done = [cycle for cycle, outputs in enumerate(recorded) if outputs["done"]]
    assert done == [cycle + latency for cycle in expected]
    for cycle, sums in expected.items():
        accumulators = recorded[cycle + latency]["accumulators"]
        np.testing.assert_array_equal(from_port(accumulators, config.accumulator_bits, (pixels, lanes)), sums)


@cocotb.test(timeout_time=10, timeout_unit="us")
async def reset_forgets_steps_under_way(dut):
    latency = MacArray(CONFIGS[os.environ["CONFIG"]]).latency
    step = {"valid": 1, "first": 1, "last": 1, "rst": 0}
    reset = {"valid": 0, "rst": 1}
    recorded = await play(dut, [step, reset] + [{"rst": 0}] * latency + [step] + [{"valid": 0}] * latency, ["done"])
    assert [outputs["done"] for outputs in recorded] == [0] * (2 + 2 * latency) + [1]


@pytest.mark.parametrize("name", CONFIGS)
def test_mac_array(name, tmp_path):
    run_bench(MacArray(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
