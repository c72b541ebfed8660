"""The sums' one rounding, worked by hand, and what they need to be exact, by all inputs of tiny layers."""

from itertools import product

import numpy as np
import pytest

from quantflow.accumulation import accumulate, accumulator_bits, accumulator_fl, requantize, sum_bits
from quantflow.arithmetic import Format
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Window
from quantflow.quantized import QuantizedLayer
from tests.quantflow.one_layer import OneLayer, one_dense


def rounded(accumulators, weight_fl, **options):
    """The output of a dense layer with these accumulators, as a list of plain numbers."""
    quantized = one_dense(np.ones((len(accumulators), 1)), np.zeros(len(accumulators)), weight_fl=weight_fl, **options)
    acc = np.array(accumulators, np.float64).reshape(1, -1, 1, 1)
    return requantize(quantized, quantized.network.layers[0], acc, quantized.layers["y"].output).ravel().tolist()


def test_relu_comes_before_saturation_and_after_rounding():
    accumulators = [-500, -3, -1, 0, 1, 3, 5, 1023]
    assert rounded(accumulators, 1, relu=True) == [0, 0, 0, 0, 0, 2, 2, 127]
    assert rounded(accumulators, 1) == [-128, -2, 0, 0, 0, 2, 2, 127]
    assert rounded(accumulators, 1, output=Format(bits=8, fl=0, signed=False)) == [0, 0, 0, 0, 0, 2, 2, 255]


def test_the_upper_bound_is_rounded_to_the_outputs_format():
    # 6 at fl 2 is 24; 0.7 at fl 2 is 2.8, 3; 1e6 lies beyond the format.
    output = Format(bits=8, fl=2)
    for maximum, expected in ((6.0, 24), (0.7, 3), (1e6, 127)):
        assert rounded([-8, 4, 2000], 4, relu=True, maximum=maximum, output=output) == [0, 1, expected]


def test_each_channel_has_its_own_shift():
    assert rounded([12, 12, 12], [0, 3, 2]) == [12, 2, 3]


def test_the_accumulators_fractional_lengths_by_hand():
    case = OneLayer(0, 8, 2, signed=True)
    case.formats = {"a": Format(bits=8, fl=5), "b": Format(bits=8, fl=-3)}
    common = case.common((4, 3, 3), (4, 3, 3))
    assert accumulator_fl(case.network(Add(**common)), Add(**common)) == 5
    assert accumulator_fl(case.network(Concat(**common)), Concat(**common)) == 5
    # 9 taps at most, though 4 in the corners: 3 bits more. 0.3 * 2**8 = 77 is the finest that 8 bits hold.
    average = AveragePool(window=Window(kernel=(3, 3), padding=(1, 1, 1, 1)), **common)
    assert accumulator_fl(case.network(average), average) == 5 + 3
    leaky = Activation(slope=np.float32([0.3, 0.1, 0, 0]), **common)
    assert accumulator_fl(case.network(leaky), leaky) == 5 + 8


# What is proved


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
        chosen[inputs] = accumulate(quantized, quantized.network.layers[0], np.zeros((1, inputs, 1, 1))).dtype
    assert chosen == {1023: np.float32, 1024: np.float64}


def test_a_bias_beyond_float32_is_added_exactly():
    quantized = one_dense([[1]], [(1 << 40) + 1])
    acc = accumulate(quantized, quantized.network.layers[0], np.full((1, 1, 1, 1), 2))
    assert acc.item() == (1 << 40) + 3


def beyond_float32(kind):
    """A layer of two 16-bit maps whose sum 2**24 + 1 float32 does not hold, what to feed it, and the sum."""
    case = OneLayer(0, 16, 2, signed=True)
    case.formats = {"a": Format(bits=16, fl=0), "b": Format(bits=16, fl=10)}
    common = case.common((1, 1, 1), (1, 1, 1))
    maps = [np.full((1, 1, 1, 1), value, np.int32) for value in (1 << 14, 1)]
    if kind is Add:
        return case.network(Add(**common), output=Format(bits=8, fl=0)), maps
    case.formats = {"a": Format(bits=16, fl=10), "b": Format(bits=16, fl=0)}
    one = np.ones((1, 1, 1, 1), np.int32)
    layer = Convolution(window=Window(kernel=(1, 1)), weight=one.astype(np.float32), bias=np.zeros(1), **common)
    zero = np.zeros(1, np.int32)
    entry = QuantizedLayer(
        name="y", weight_bits=2, weight=one, weight_fl=zero, bias=zero.astype(np.int64),
        output=Format(bits=8, fl=0),
    )  # fmt: skip
    return case.network(layer, entry), maps[::-1]


@pytest.mark.parametrize("kind", [Add, Convolution])
def test_a_shifted_map_beyond_float32_is_added_exactly(kind):
    quantized, maps = beyond_float32(kind)
    assert accumulate(quantized, quantized.network.layers[0], *maps).item() == (1 << 24) + 1
    assert int(np.float32((1 << 24) + 1)) != (1 << 24) + 1


@pytest.mark.parametrize(("taps", "dtype"), [(256, np.float32), (257, np.float64)])
def test_an_averages_sum_beyond_float32_is_exact(taps, dtype):
    case = OneLayer(0, 16, signed=False)
    layer = AveragePool(window=Window(kernel=(1, taps)), **case.common((1, 1, taps), (1, 1, 1)))
    acc = accumulate(case.network(layer), layer, np.full((1, 1, 1, taps), 65535))
    assert acc.item() == 65535 * taps and acc.dtype == dtype


def test_refuses_sums_that_float64_cannot_hold():
    quantized = one_dense([[1]], [1 << 53])
    with pytest.raises(ValueError, match="^layer y sums in 55 bits, where float64 holds integers of 54$"):
        accumulate(quantized, quantized.network.layers[0], np.zeros((1, 1, 1, 1)))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("signed", [False, True])
def test_accumulator_bits_is_the_least_width_that_holds_every_sum(seed, signed):
    random = np.random.default_rng(seed)
    weight, bias = random.integers(-8, 8, (2, 3)), random.integers(-60, 60, 2)
    entry, format = one_dense(weight, bias).layers["y"], Format(bits=2, fl=0, signed=signed)
    reached = [0]
    for x in product(range(format.min, format.max + 1), repeat=3):
        for row, offset in zip(weight, bias, strict=True):
            products = [int(w) * v for w, v in zip(row, x, strict=True)]
            for start in (0, int(offset)):
                reached += [start, start + products[0], start + sum(products[:2]), start + sum(products)]
    assert_least_width(accumulator_bits(entry, format), reached)


def assert_least_width(bits, reached):
    assert all(-(1 << (bits - 1)) <= value < 1 << (bits - 1) for value in reached)
    assert not all(-(1 << (bits - 2)) <= value < 1 << (bits - 2) for value in reached)


def test_accumulator_bits_worked_by_hand():
    # -128 * -128 * 4 = 2**16 needs 18 bits; 127 * -128 * 4 stays above -2**16, which 17 bits hold.
    entry = one_dense([[-128] * 4], [0]).layers["y"]
    assert accumulator_bits(entry, Format(bits=8, fl=3)) == 18
    assert accumulator_bits(one_dense([[127] * 4], [0]).layers["y"], Format(bits=8, fl=0)) == 17
    assert accumulator_bits(one_dense([[0]], [-(1 << 30)]).layers["y"], Format(bits=8, fl=0)) == 31
    # A residual of -2 at fl 0 joins sums at fl 3 as -16: -128 * 4 - 16 needs 11 bits, 512 would be 11 too.
    entry = one_dense([[1] * 4], [0], weight_fl=3).layers["y"]
    assert accumulator_bits(entry, Format(bits=8, fl=0)) == 10
    assert accumulator_bits(entry, Format(bits=8, fl=0), Format(bits=2, fl=0)) == 11


def tiny_layers(signed):
    """Layers of very few values, by name: the network and the shapes of its inputs."""
    random = np.random.default_rng(3)
    formats = {"a": Format(bits=2, fl=1, signed=signed), "b": Format(bits=3, fl=-1)}
    case = OneLayer(0, 2, 2)
    case.formats = formats
    yield "Add", case.network(Add(**case.common((1, 1, 1), (1, 1, 1)))), [(1, 1, 1)] * 2
    yield "Concat", case.network(Concat(**case.common((1, 1, 1), (2, 1, 1)))), [(1, 1, 1)] * 2
    window = Window(kernel=(1, 2))
    common = case.common((2, 1, 2), (2, 1, 1))
    layer = Convolution(
        window=window, groups=2, weight=np.zeros((2, 1, 1, 2), np.float32), bias=np.zeros(2, np.float32), **common
    )
    for seed in range(5):
        random = np.random.default_rng(seed)
        entry = QuantizedLayer(
            name="y", weight_bits=4, weight=random.integers(-8, 8, (2, 1, 1, 2)).astype(np.int32),
            weight_fl=np.array([0, 2], np.int32), bias=random.integers(-20, 20, 2),
            output=Format(bits=8, fl=0),
        )  # fmt: skip
        yield f"Convolution {seed}", case.network(layer, entry), [(2, 1, 2), (2, 1, 1)]
    case = OneLayer(0, 2, 1)
    case.formats = {"a": formats["a"]}
    for taps in (1, 3, 4):
        layer = AveragePool(window=Window(kernel=(1, taps)), **case.common((1, 1, taps), (1, 1, 1)))
        yield f"AveragePool {taps}", case.network(layer), [(1, 1, taps)]
    for slope in (0.0, 0.25, 1.7, -3.0):
        layer = Activation(slope=np.float32([slope, 0.1]), **case.common((2, 1, 1), (2, 1, 1)))
        yield f"Activation {slope}", case.network(layer), [(2, 1, 1)]


@pytest.mark.parametrize("signed", [False, True])
def test_sum_bits_is_the_least_width_that_holds_every_accumulator(signed):
    for name, quantized, shapes in tiny_layers(signed):
        layer, values = quantized.network.layers[0], []
        for shape, source in zip(shapes, layer.inputs, strict=True):
            format = quantized.formats[source]
            values += [range(format.min, format.max + 1)] * int(np.prod(shape))
        every = np.array(list(product(*values)))
        maps, first = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            maps.append(every[:, first : first + size].reshape(-1, *shape))
            first += size
        acc = accumulate(quantized, layer, *maps)
        bits = sum_bits(quantized, layer)
        if isinstance(layer, Convolution):  # where a sum without its bias, or the bias alone, may be the widest
            assert -(1 << (bits - 1)) <= acc.min() and acc.max() < 1 << (bits - 1), name
            entry = quantized.layers["y"]
            without = acc - entry.bias[:, None, None]
            assert_least_width(bits, [*acc.ravel(), *without.ravel(), *entry.bias])
        else:
            assert_least_width(bits, acc.ravel().tolist())
