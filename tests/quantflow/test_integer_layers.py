"""Every kind of layer of the integer engine against Python's integers and fractions, pixel by pixel."""

import numpy as np
import pytest

from quantflow.accumulation import accumulate, accumulator_fl, sum_bits
from quantflow.arithmetic import Format
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, Window
from quantflow.integer_engine import run_layer
from tests.quantflow.naive import naive_layer
from tests.quantflow.one_layer import OneLayer

BITS = [2, 3, 4, 8, 13, 16]


def assert_equals_naive(quantized, layer, maps):
    outputs = run_layer(quantized, layer, *(x.astype(np.float32) for x in maps))
    naive = [naive_layer(quantized, layer, *(x[n].tolist() for x in maps)) for n in range(len(maps[0]))]
    assert outputs.tolist() == naive
    return outputs


WINDOWS = [
    Window(kernel=(3, 2), stride=(1, 2), padding=(1, 0, 2, 1)),
    Window(kernel=(2, 2), dilation=(2, 3), padding=(0, 2, 1, 0)),
    Window(kernel=(1, 1), stride=(2, 1)),
    Window(kernel=(1, 1)),
    Window(kernel=(2, 3), stride=(2, 2), dilation=(3, 1), padding=(1, 1, 1, 1)),
]


@pytest.mark.parametrize(("channels", "outputs", "groups"), [(3, 4, 1), (4, 6, 2), (3, 3, 3), (3, 6, 3), (1, 2, 1)])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_convolutions(channels, outputs, groups, window, residual, bits):
    case = OneLayer(channels * outputs, bits, 1 + residual)
    weight_bits = int(case.random.integers(2, 17))
    output_shape = (outputs, *window.output_size(6, 5))
    layer = Convolution(
        window=window, groups=groups, weight=np.zeros((outputs, channels // groups, *window.kernel), np.float32),
        bias=np.zeros(outputs, np.float32), **case.rectified(), **case.common((channels, 6, 5), output_shape),
    )  # fmt: skip
    quantized = case.network(layer, case.weighted(layer, weight_bits))
    maps = case.maps((channels, 6, 5), *[output_shape][: int(residual)])
    y = assert_equals_naive(quantized, layer, maps)
    acc = accumulate(quantized, layer, *maps)
    needed = sum_bits(quantized, layer)
    assert -(2 ** (needed - 1)) <= acc.min() and acc.max() < 2 ** (needed - 1)
    assert y.min() >= quantized.layers["y"].output.min and y.max() <= quantized.layers["y"].output.max


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("seed", range(6))
def test_dense_layers(bits, seed):
    case = OneLayer(seed, bits)
    layer = Dense(
        weight=np.zeros((5, 18), np.float32), bias=np.zeros(5, np.float32),
        **case.rectified(), **case.common((2, 3, 3), (5, 1, 1)),
    )  # fmt: skip
    quantized = case.network(layer, case.weighted(layer, int(case.random.integers(2, 17))))
    assert_equals_naive(quantized, layer, case.maps((2, 3, 3)))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("seed", range(8))
def test_additions_of_maps_at_different_fractional_lengths(bits, seed):
    case = OneLayer(seed, bits, 2)
    layer = Add(**case.rectified(), **case.common((3, 4, 2), (3, 4, 2)))
    finest = max(format.fl for format in case.formats.values())
    quantized = case.network(layer, output=case.format(finest - int(case.random.integers(0, bits + 2))))
    assert_equals_naive(quantized, layer, case.maps(*[(3, 4, 2)] * 2))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("seed", range(8))
def test_concatenations_of_maps_at_different_fractional_lengths(bits, seed):
    case = OneLayer(seed, bits, 3)
    layer = Concat(**case.common((1, 4, 2), (6, 4, 2)))
    finest = max(format.fl for format in case.formats.values())
    quantized = case.network(layer, output=case.format(finest - int(case.random.integers(0, bits + 2))))
    assert_equals_naive(quantized, layer, case.maps((1, 4, 2), (3, 4, 2), (2, 4, 2)))


AVERAGES = [
    Window(kernel=(1, 2), stride=(1, 2)),
    Window(kernel=(3, 1), stride=(2, 1)),
    Window(kernel=(2, 3)),
    Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
    Window(kernel=(3, 3), padding=(2, 0, 1, 1), stride=(2, 2)),
    Window(kernel=(4, 4)),
    Window(kernel=(2, 2), dilation=(3, 2)),
    Window(kernel=(7, 7)),
    Window(kernel=(2, 3), padding=(1, 0, 0, 2), dilation=(2, 3)),
]


@pytest.mark.parametrize("window", AVERAGES)
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_averages(window, count_include_pad, bits):
    taps = window.kernel[0] * window.kernel[1]
    case = OneLayer(taps, bits)
    layer = AveragePool(
        window=window, count_include_pad=count_include_pad, **case.rectified(),
        **case.common((3, 7, 7), (3, *window.output_size(7, 7))),
    )  # fmt: skip
    (x,) = case.maps((3, 7, 7))
    x[1] //= max(1, (1 << bits) // 8)  # small numbers, so that many quotients are ties
    for fl in range(case.formats["a"].fl - 3, case.formats["a"].fl + taps.bit_length()):
        assert_equals_naive(case.network(layer, output=case.format(fl)), layer, [x])


@pytest.mark.parametrize("taps", [2, 4, 6, 9, 16, 49])
def test_every_tie_of_an_average(taps):
    """Sums from -4 taps to 4 taps, the output being as fine as the accumulator and down to 1/8 of the input."""
    case = OneLayer(taps, 8, signed=True)
    case.formats["a"] = Format(bits=8, fl=3)
    layer = AveragePool(window=Window(kernel=(1, taps)), **case.common((1, 1, taps), (1, 1, 1)))
    sums = np.arange(-4 * taps, 4 * taps + 1)
    x = np.zeros((len(sums), 1, 1, taps), np.int32) + (sums // taps)[:, None, None, None]
    x[..., 0] += (sums - sums // taps * taps)[:, None, None]
    for fl in range(0, 3 + taps.bit_length()):
        assert_equals_naive(case.network(layer, output=Format(bits=16, fl=fl)), layer, [x])


SLOPES = [(0.0,), (0.125,), (0.25,), (0.1,), (0.01,), (-0.5,), (200.0,), (5e-4,), (1e-4,)]
SLOPES += [(1.5, 0.0, -2.0), (0.3, 0.003, 0.9)]


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("maximum", [None, 6.0])
@pytest.mark.parametrize("bits", BITS)
def test_activations(slope, maximum, bits):
    case = OneLayer(len(slope), bits, signed=True)
    slope = np.broadcast_to(np.float32(slope), 3)
    layer = Activation(slope=slope, maximum=maximum, **case.common((3, 4, 4), (3, 4, 4)))
    maps = case.maps((3, 4, 4))
    finest = int(accumulator_fl(case.network(layer), layer))
    for fl in range(case.formats["a"].fl - 2, min(case.formats["a"].fl + 1, finest) + 1):
        assert_equals_naive(case.network(layer, output=case.format(fl)), layer, maps)


@pytest.mark.parametrize(("slope", "expected"), [(0.125, -4), (0.25, -8), (0.5, -16)])
def test_slopes_that_eight_bits_hold_are_exact(slope, expected):
    case = OneLayer(0, 8, signed=True)
    layer = Activation(slope=np.float32([slope]), **case.common((1, 1, 1), (1, 1, 1)))
    quantized = case.network(layer, output=Format(bits=8, fl=case.formats["a"].fl))
    assert run_layer(quantized, layer, np.full((1, 1, 1, 1), -32.0)).item() == expected
