"""Requantizer against quantflow.arithmetic, ties and saturation included."""

import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.requantizer import Requantizer
from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.arithmetic import round_half_even_shift, saturate
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
        weight_bits=4,
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


def model(words, bias, shift, relu, output_bits, bypass):
    """The class docstring's equation on [n, R, lanes], [n, lanes], [n, lanes]."""
    results = words if bypass else round_half_even_shift(words + bias[:, None], shift[:, None])
    return saturate(np.maximum(results, 0) if relu else results, output_bits)


def cycles_of(rng, config, words, bias, shift):
    """One dict per cycle, parameters one cycle behind their words; and which cycles are valid."""
    valid = rng.random(len(words)) < 0.7
    record = parameter_records(bias, shift, config)
    cycles = [
        {"words": to_port(now, config.accumulator_bits), "valid": int(exists)}
        for now, exists in zip(words, valid, strict=True)
    ]
    cycles.append({"valid": 0})
    for cycle, parameters in zip(cycles[1:], record, strict=True):
        cycle["parameters"] = to_port(parameters, 1)
    return cycles, np.flatnonzero(valid)


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def results_equal_the_model(dut):
    config, rng = CONFIGS[os.environ["CONFIG"]], np.random.default_rng(8)
    latency = Requantizer.latency
    cycles, expected = [], {}
    settings = [(bits, relu, 0) for bits in range(2, config.activation_bits + 1) for relu in (0, 1)]
    for output_bits, relu, bypass in [*settings, (config.activation_bits, 0, 1), (3, 1, 1)]:
        words, bias, shift = random_words(rng, config, 60)
        results = model(words, bias, shift, relu, output_bits, bypass)
        idle = {"valid": 0, "relu": relu, "output_bits": output_bits, "bypass": bypass}
        cycles.append(idle)
        segment, valid = cycles_of(rng, config, words, bias, shift)
        expected |= {len(cycles) + int(cycle) + latency: results[cycle] for cycle in valid}
        cycles += segment + [{"valid": 0}] * latency
    recorded = await play(dut, cycles, ["results", "results_valid"])
    assert [cycle for cycle, outputs in enumerate(recorded) if outputs["results_valid"]] == list(expected)
    for cycle, results in expected.items():
        found = from_port(recorded[cycle]["results"], config.activation_bits, results.shape)
        np.testing.assert_array_equal(found, results, err_msg=f"cycle {cycle}")


@pytest.mark.parametrize("name", CONFIGS)
def test_requantizer(name, tmp_path):
    run_bench(Requantizer(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
