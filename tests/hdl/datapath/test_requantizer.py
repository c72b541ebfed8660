"""Requantizer against quantflow.arithmetic, ties, dropped bits and clipping included; settings change at once."""

import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.requantizer import DROPPED_BITS, Requantizer
from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.arithmetic import round_half_even_shift
from quantflow.config import Config
from quantflow.packing import from_bits, parameter_records, to_bits
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_integers, to_port

CONFIGS = {
    "narrow": Config(
        pixels=3,
        lanes=2,
        requantizers=2,
        activation_bits=12,
        weight_bits=5,
        accumulator_bits=18,
        port_bits=32,
    ),
    "wide": Config(pixels=1, lanes=4, accumulator_bits=48, port_bits=32),
}


def random_words(rng, config, count):
    """Words of all magnitudes, biases of all magnitudes, and shifts; a third of the sums are ties."""
    bits, lanes = config.accumulator_bits, config.lanes
    shape = (count, config.requantizers, lanes)
    words = random_integers(rng, bits, shape) >> rng.integers(0, bits, shape)
    bias = random_integers(rng, bits, (count, lanes)) >> rng.integers(0, bits, (count, lanes))
    shift = rng.integers(-MAX_LEFT_SHIFT, bits, (count, lanes))
    small = rng.integers(-1 << 5, 1 << 5, shape)
    tie = (2 * small + 1) << np.maximum(shift[:, None, :] - 1, 0)
    word = tie - bias[:, None, :]
    chosen = (rng.random(shape) < 0.4) & (word == from_bits(to_bits(word, bits), signed=True))
    return np.where(chosen, word, words), bias, shift


def random_settings(rng, config, count):
    """Least results, [count] numbers of dropped bits, bypasses; and greatest results [count, lanes], no less."""
    bits = config.activation_bits
    least = np.where(rng.random(count) < 0.5, 0, random_integers(rng, bits, count))
    low = np.maximum(least, 0)[:, None]
    greatest = rng.integers(low, 1 << bits, (count, config.lanes))
    greatest = np.where(rng.random(greatest.shape) < 0.5, (1 << bits) - 1, greatest)
    most = min(config.accumulator_bits, (1 << DROPPED_BITS) - 1)
    dropped = np.where(rng.random(count) < 0.5, 0, rng.integers(most, size=count, endpoint=True))
    return least, dropped, rng.random(count) < 0.2, greatest


def model(config, words, bias, shift, least, dropped, bypass, greatest):
    """The class docstring's equation on [n, R, lanes], [n, lanes], and [n]."""
    dropped, bypass, least = (setting[:, None, None] for setting in (dropped, bypass, least))
    totals = (words + bias[:, None]) >> dropped << dropped
    results = np.clip(round_half_even_shift(totals, shift[:, None]), least, greatest[:, None])
    return np.where(bypass, np.clip(words, least, (1 << config.activation_bits) - 1), results)


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def results_equal_the_model(dut):
    config, rng, count = CONFIGS[os.environ["CONFIG"]], np.random.default_rng(8), 3000
    bits, latency = config.activation_bits, Requantizer.latency
    words, bias, shift = random_words(rng, config, count)
    least, dropped, bypass, greatest = random_settings(rng, config, count)
    results = model(config, words, bias, shift, least, dropped, bypass, greatest)
    valid = rng.random(count) < 0.7
    cycles = [
        {
            "words": to_port(words[n], config.accumulator_bits),
            "valid": int(valid[n]),
            "least": to_port(least[n], bits),
            "dropped_bits": int(dropped[n]),
            "bypass": int(bypass[n]),
        }
        for n in range(count)
    ] + [{"valid": 0}] * latency
    records = parameter_records(bias, shift, greatest, config)
    for cycle, parameters in zip(cycles[1:], records, strict=False):  # a cycle behind their words
        cycle["parameters"] = to_port(parameters, 1)
    recorded = await play(dut, cycles, ["results", "results_valid"])
    done = [cycle for cycle, outputs in enumerate(recorded) if outputs["results_valid"]]
    assert done == [int(cycle) + latency for cycle in np.flatnonzero(valid)]
    for n in np.flatnonzero(valid):
        found = from_port(recorded[n + latency]["results"], bits, results[n].shape, signed=False)
        np.testing.assert_array_equal(found, results[n] & ((1 << bits) - 1), err_msg=f"cycle {n}")


@pytest.mark.parametrize("name", CONFIGS)
def test_requantizer(name, tmp_path):
    run_bench(Requantizer(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
