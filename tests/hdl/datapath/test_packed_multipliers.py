"""The packing of two products: in numpy, for every operand and every pair of weights; and what Yosys makes of it."""

import numpy as np
import pytest

from boards.synthesis import synthesize
from hdl.datapath.packed_multipliers import PackedMultipliers
from hdl.verilog import to_verilog
from quantflow.config import MULTIPLIER_BITS, Config

CONFIGS = {
    "8 and 8 bits": Config(pixels=1, lanes=4, port_bits=32, products_per_dsp=2),
    "8 and 4 bits": Config(pixels=1, lanes=4, weight_bits=4, port_bits=32, products_per_dsp=2),
    "10 and 6 bits": Config(pixels=1, lanes=4, activation_bits=10, weight_bits=6, port_bits=32, products_per_dsp=2),
    "16 and 4 bits": Config(pixels=1, lanes=4, activation_bits=16, weight_bits=4, port_bits=32, products_per_dsp=2),
}


def wrap(values, bits):
    """Integers modulo 2**bits, signed."""
    return (values + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def packed_products(operand, lower, upper, config):
    """Both products by the acts of hdl.datapath.packed_multipliers on words of their widths."""
    bits, weight_bits = config.activation_bits + config.weight_bits, config.weight_bits
    packed_bits, half = config.packed_weight_bits, 1 << (bits - 1)
    sign = lower < 0
    field = (lower & ((1 << weight_bits) - 1)) | np.where(sign, ((1 << bits) - 1) & -(1 << weight_bits), 0)
    packed = field | (upper - sign) << bits
    assert packed_bits <= MULTIPLIER_BITS
    np.testing.assert_array_equal(packed, wrap(packed, packed_bits))
    sums = wrap(packed * operand, 2 * bits) + half
    return wrap((sums & ((1 << bits) - 1)) ^ half, bits), wrap(sums >> bits, bits)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_product(name):
    config = CONFIGS[name]
    weights = np.arange(-(1 << (config.weight_bits - 1)), 1 << (config.weight_bits - 1))
    lower, upper = weights[:, None], weights[None, :]
    operands = np.arange(-(1 << (config.activation_bits - 1)), 1 << config.activation_bits)
    most = max(1, (1 << 22) // weights.size**2)
    for chunk in np.array_split(operands, -(-operands.size // most)):
        chunk = chunk[:, None, None]
        below, above = packed_products(chunk, lower, upper, config)
        np.testing.assert_array_equal(below, np.broadcast_to(chunk * lower, below.shape))
        np.testing.assert_array_equal(above, np.broadcast_to(chunk * upper, above.shape))


@pytest.mark.slow
def test_one_slice_for_two_products():
    """All registers lie in the slices; outside are the weights' adders, and a turned bit of each lower product."""
    config = Config(pixels=3, lanes=4, port_bits=32, products_per_dsp=2)
    used = synthesize(to_verilog(PackedMultipliers(config), "packed"), "xilinx-7", top="packed")
    assert (used.dsp, used.ff) == (config.multipliers // 2, 0)
    added = config.lanes**2 // 2 * config.weight_bits  # Yosys once lost the adders, and the operands behind them
    assert added <= used.lut <= added + config.lanes**2 // 2 + config.multipliers // 2


@pytest.mark.slow
def test_one_multiplier_of_18_bits_for_two_products():
    used = synthesize(to_verilog(PackedMultipliers(CONFIGS["8 and 4 bits"]), "packed"), "ecp5", top="packed")
    assert used.dsp == CONFIGS["8 and 4 bits"].multipliers // 2
