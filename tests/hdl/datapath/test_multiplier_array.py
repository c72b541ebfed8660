"""MultiplierArray and PackedMultipliers against numpy's outer product of pixels and output channels."""

import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.mac_array import ARRAYS
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.datapath.operands import extreme_operands, random_operands
from tests.hdl.pipelines import from_port, play, random_integers, to_port

CONFIGS = {
    "plain": Config(pixels=3, lanes=4, activation_bits=6, weight_bits=3, port_bits=32),
    "packed": Config(pixels=3, lanes=4, port_bits=32, products_per_dsp=2),
    "packed_wide": Config(pixels=1, lanes=4, activation_bits=12, weight_bits=6, port_bits=32, products_per_dsp=2),
}


def extreme_steps(config):
    """Activations [n, P, I] and weights [n, O, I]: every extreme operand beside every pair of extreme weights."""
    half = 1 << (config.weight_bits - 1)
    ends = [-half, 1 - half, -1, 0, 1, half - 1]
    operand, lower, upper = (grid.reshape(-1) for grid in np.meshgrid(extreme_operands(config), ends, ends))
    activations = np.broadcast_to(operand[:, None, None], (len(operand), config.pixels, config.lanes))
    weights = np.stack([lower, upper] * (config.lanes // 2), axis=1)
    return activations, np.broadcast_to(weights[:, :, None], (len(operand), config.lanes, config.lanes))


@cocotb.test(timeout_time=100, timeout_unit="us")
async def products_follow_their_operands(dut):
    config, rng, count = CONFIGS[os.environ["CONFIG"]], np.random.default_rng(3), 400
    pixels, lanes, bits = config.pixels, config.lanes, config.activation_bits + config.weight_bits
    activations, weights = extreme_steps(config)
    activations = np.concatenate([activations, random_operands(rng, config, (count, pixels, lanes))])
    weights = np.concatenate([weights, random_integers(rng, config.weight_bits, (count, lanes, lanes))])
    cycles = [
        {"activations": to_port(taps, config.operand_bits), "weights": to_port(word, config.weight_bits)}
        for taps, word in zip(activations, weights, strict=True)
    ]
    latency = ARRAYS[config.products_per_dsp].latency
    recorded = await play(dut, cycles + [{}] * latency, ["products"])
    products = activations[:, :, None, :] * weights[:, None, :, :]
    for expected, outputs in zip(products, recorded[latency:], strict=True):
        found = from_port(outputs["products"], bits, (pixels, lanes, lanes))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_multiplier_array(name, tmp_path):
    config = CONFIGS[name]
    run_bench(ARRAYS[config.products_per_dsp](config), __name__, tmp_path, environment={"CONFIG": name})
