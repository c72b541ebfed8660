"""Exact sums and their one rounding, against cases worked by hand and exhaustive extremes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from quantflow.accumulation import accumulate, accumulator_bits, requantize
from quantflow.arithmetic import Format
from quantflow.graph import Dense, Network
from quantflow.quantized import QuantizedLayer, QuantizedNetwork


def one_dense(weight, bias, *, shift=0, relu=False, activation_bits=8, weight_bits=8, output_bits=None):
    """A network of one fully connected layer: weight [O, K], everything at fractional length 0."""
    weight = np.array(weight, dtype=np.int32)
    shapes = {"input_shape": (weight.shape[1], 1, 1), "output_shape": (len(weight), 1, 1)}
    zeros = np.zeros(len(weight), np.float32)
    layer = Dense(name="fc", inputs=("image",), weight=weight.astype(np.float32), bias=zeros, relu=relu, **shapes)
    network = Network(name="one", input_name="image", input_shape=shapes["input_shape"], layers=(layer,))
    entry = QuantizedLayer(
        name="fc",
        weight_bits=weight_bits,
        weight=weight,
        weight_fl=np.zeros(len(weight), np.int32),
        bias=np.array(bias, dtype=np.int64),
        shift=np.full(len(weight), shift, np.int32),
        output=Format(bits=output_bits or activation_bits, fl=-shift),
    )
    return QuantizedNetwork(network=network, input=Format(bits=activation_bits, fl=0), layers={"fc": entry})


def rounded(accumulators, shift, relu):
    """The output of a dense layer with these accumulators, as lists of plain numbers."""
    quantized = one_dense(np.ones((len(accumulators), 1)), np.zeros(len(accumulators)), relu=relu)
    entry = quantized.layers["fc"]
    quantized.layers["fc"] = replace(entry, weight_fl=np.int32(shift))
    acc = np.array(accumulators, np.float64).reshape(1, -1, 1, 1)
    return requantize(quantized, quantized.network.layers[0], acc, entry.output).ravel().tolist()


def test_relu_comes_before_saturation_and_after_rounding():
    accumulators = [-500, -3, -1, 0, 1, 3, 5, 1023]
    assert rounded(accumulators, [1] * 8, True) == [0, 0, 0, 0, 0, 2, 2, 127]
    assert rounded(accumulators, [1] * 8, False) == [-128, -2, 0, 0, 0, 2, 2, 127]


def test_each_channel_has_its_own_shift():
    assert rounded([12, 12, 12], [0, 3, 2], False) == [12, 2, 3]


@pytest.mark.parametrize("inputs", [1023, 1024, 1025, 5000])
def test_exact_at_and_beyond_what_float32_holds(inputs):
    # 1024 * 128 * 128 = 2**24 would be the last sum that float32 holds; odd products show a lost bit.
    weight = np.full((2, inputs), -128)
    weight[1, 1::2] = 127
    quantized = one_dense(weight, [0, 0])
    x = np.full((1, inputs, 1, 1), -128)
    x[:, 1::2] = -127
    acc = accumulate(quantized, quantized.network.layers[0], x)
    expected = [sum(int(w) * int(v) for w, v in zip(row, x.ravel(), strict=True)) for row in weight]
    assert acc.ravel().tolist() == expected


def test_float32_is_used_only_where_proved():
    # 1023 * 2**14 fits in 25 bits of two's complement, 1024 * 2**14 = 2**24 does not.
    chosen = {}
    for inputs in (1023, 1024):
        quantized = one_dense(np.full((1, inputs), -128), [0])
        x = np.zeros((1, inputs, 1, 1), np.int32)
        chosen[inputs] = accumulate(quantized, quantized.network.layers[0], x).dtype
    assert chosen == {1023: np.float32, 1024: np.float64}


def test_a_bias_beyond_float32_is_added_exactly():
    quantized = one_dense([[1]], [(1 << 40) + 1])
    acc = accumulate(quantized, quantized.network.layers[0], np.full((1, 1, 1, 1), 2))
    assert acc.item() == (1 << 40) + 3


def test_refuses_sums_that_float64_cannot_hold():
    quantized = one_dense([[1]], [1 << 53])
    with pytest.raises(ValueError, match="^layer fc sums in 55 bits, where float64 holds integers of 54$"):
        accumulate(quantized, quantized.network.layers[0], np.zeros((1, 1, 1, 1)))


@pytest.mark.parametrize("seed", range(20))
def test_accumulator_bits_is_the_least_width_that_holds_every_sum(seed):
    random = np.random.default_rng(seed)
    weight, bias = random.integers(-8, 8, (2, 3)), random.integers(-60, 60, 2)
    entry = one_dense(weight, bias, activation_bits=2, weight_bits=4).layers["fc"]
    reached = [0]
    for x in product(range(-2, 2), repeat=3):
        for row, offset in zip(weight, bias, strict=True):
            products = [int(w) * v for w, v in zip(row, x, strict=True)]
            for start in (0, int(offset)):
                reached += [start, start + products[0], start + sum(products[:2]), start + sum(products)]
    bits = accumulator_bits(entry, Format(bits=2, fl=0))
    assert all(-(1 << (bits - 1)) <= value < 1 << (bits - 1) for value in reached)
    assert not all(-(1 << (bits - 2)) <= value < 1 << (bits - 2) for value in reached)


def test_accumulator_bits_worked_by_hand():
    # -128 * -128 * 4 = 2**16 needs 18 bits; 127 * -128 * 4 stays above -2**16, which 17 bits hold.
    entry = one_dense([[-128] * 4], [0]).layers["fc"]
    assert accumulator_bits(entry, Format(bits=8, fl=3)) == 18
    assert accumulator_bits(one_dense([[127] * 4], [0]).layers["fc"], Format(bits=8, fl=0)) == 17
    assert accumulator_bits(one_dense([[0]], [-(1 << 30)]).layers["fc"], Format(bits=8, fl=0)) == 31
