"""VectorUnit against numpy's maximum over the taps that exist and a least result."""

import cocotb
import numpy as np

from hdl.datapath.vector_unit import VectorUnit
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_groups, random_integers, to_port

CONFIG = Config(pixels=3, lanes=4, activation_bits=7, weight_bits=4, accumulator_bits=20, port_bits=32)


def group_maxima(cycles, activations, inside):
    """What each cycle's group comes to at its last step: {cycle: [P, lanes]}."""
    results, best = {}, None
    for cycle, marks in enumerate(cycles):
        if marks["valid"]:
            best = marks["least"] if marks["first"] else best
            best = np.where(inside[cycle][:, None], np.maximum(best, activations[cycle]), best)
            if marks["last"]:
                results[cycle] = best
    return results


def add_least(rng, cycles):
    """A least result for each group, anything where it does not matter; both ends of the range among them."""
    for marks in cycles:
        marks["least"] = int(random_integers(rng, CONFIG.activation_bits, ()))


@cocotb.test(timeout_time=100, timeout_unit="us")
async def maxima_of_groups(dut):
    rng = np.random.default_rng(5)
    shape = (CONFIG.pixels, CONFIG.lanes)
    cycles = random_groups(rng, 150, 5)
    add_least(rng, cycles)
    activations = random_integers(rng, CONFIG.operand_bits, (len(cycles), *shape))
    inside = rng.random((len(cycles), CONFIG.pixels)) < 0.6
    expected = group_maxima(cycles, activations, inside)
    for marks, taps, exists in zip(cycles, activations, inside, strict=True):
        marks["activations"] = to_port(taps, CONFIG.operand_bits)
        marks["inside"] = to_port(exists, 1)
        marks["least"] = to_port(marks["least"], CONFIG.activation_bits)
    latency = VectorUnit.latency
    recorded = await play(dut, cycles + [{"valid": 0}] * latency, ["maxima", "done"])
    done = [cycle for cycle, outputs in enumerate(recorded) if outputs["done"]]
    assert done == [cycle + latency for cycle in expected]
    for cycle, maxima in expected.items():
        found = from_port(recorded[cycle + latency]["maxima"], CONFIG.accumulator_bits, shape)
        np.testing.assert_array_equal(found, maxima)


def test_vector_unit(tmp_path):
    run_bench(VectorUnit(CONFIG), __name__, tmp_path)
