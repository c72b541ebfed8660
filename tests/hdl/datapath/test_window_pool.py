"""WindowPool against numpy's maximum over the words of each slot since its first, signed and unsigned."""

import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.window_pool import WindowPool
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_integers, to_port

CONFIGS = {
    "one_slot": Config(pixels=1, lanes=4, port_bits=32),
    "four_slots": Config(pixels=7, lanes=4, requantizers=2, activation_bits=5, port_bits=32),
}


def numbers(words, unsigned, bits):
    """What the two's-complement words mean."""
    return words & ((1 << bits) - 1) if unsigned else words


@cocotb.test(timeout_time=100, timeout_unit="us")
async def maxima_since_first(dut):
    config, rng = CONFIGS[os.environ["CONFIG"]], np.random.default_rng(7)
    bits, shape, slots = config.activation_bits, (config.requantizers, config.lanes), config.drain_cycles
    kept, cycles, expected = [None] * slots, [], []
    for _ in range(400):
        slot, words = int(rng.integers(slots)), random_integers(rng, bits, shape)
        first, unsigned = kept[slot] is None or rng.random() < 0.3, int(rng.integers(2))
        valid = int(rng.random() < 0.7)
        greater = first or numbers(words, unsigned, bits) > numbers(kept[slot], unsigned, bits)
        pooled = np.where(greater, words, words if first else kept[slot])
        if valid:
            kept[slot] = pooled
        marks = {"valid": valid, "slot": slot, "first": int(first), "unsigned": unsigned}
        cycles.append({"words": to_port(words, bits), **marks})
        expected.append(pooled)
    recorded = await play(dut, cycles, ["pooled"])
    for pooled, outputs in zip(expected, recorded, strict=True):
        np.testing.assert_array_equal(from_port(outputs["pooled"], bits, shape), pooled)


@pytest.mark.parametrize("name", CONFIGS)
def test_window_pool(name, tmp_path):
    run_bench(WindowPool(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
