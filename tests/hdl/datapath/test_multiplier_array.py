"""MultiplierArray against numpy's outer product of pixels and output channels."""

import cocotb
import numpy as np

from hdl.datapath.multiplier_array import MultiplierArray
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_integers, to_port

CONFIG = Config(pixels=3, lanes=4, activation_bits=6, weight_bits=3, port_bits=32)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def products_follow_their_operands(dut):
    rng = np.random.default_rng(3)
    pixels, lanes, bits = CONFIG.pixels, CONFIG.lanes, CONFIG.operand_bits + CONFIG.weight_bits
    activations = random_integers(rng, CONFIG.operand_bits, (200, pixels, lanes))
    weights = random_integers(rng, CONFIG.weight_bits, (200, lanes, lanes))
    cycles = [
        {"activations": to_port(taps, CONFIG.operand_bits), "weights": to_port(word, CONFIG.weight_bits)}
        for taps, word in zip(activations, weights, strict=True)
    ]
    recorded = await play(dut, cycles, ["products"])
    products = activations[:, :, None, :] * weights[:, None, :, :]
    for expected, outputs in zip(products, recorded[MultiplierArray.latency :], strict=False):
        found = from_port(outputs["products"], bits, (pixels, lanes, lanes))
        np.testing.assert_array_equal(found, expected)


def test_multiplier_array(tmp_path):
    run_bench(MultiplierArray(CONFIG), __name__, tmp_path)
