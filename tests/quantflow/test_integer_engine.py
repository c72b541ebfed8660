"""The integer engine against a convolution in plain Python integers, and against cases worked by hand."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.arithmetic import Format
from quantflow.graph import Convolution, Dense, MaxPool, Network, Window
from quantflow.integer_engine import accumulate, accumulator_bits, requantize, run, run_integers
from quantflow.quantized import QuantizedLayer, QuantizedNetwork
from tests.quantflow.networks import RandomNetwork


def naive_layer(quantized, layer, x):
    """One image through one layer with Python's own integers and fractions; `x` is nested lists."""
    channels, height, width = layer.input_shape
    if isinstance(layer, Dense):
        flat = [x[c][i][j] for c, i, j in product(range(channels), range(height), range(width))]
        entry = quantized.layers[layer.name]
        sums = [sum(int(w) * v for w, v in zip(row, flat, strict=True)) for row in entry.weight]
        return [[[naive_output(layer, entry, o, total)]] for o, total in enumerate(sums)]
    rows, columns = layer.output_shape[1:]
    return [
        [[naive_pixel(quantized, layer, x, o, row, column) for column in range(columns)] for row in range(rows)]
        for o in range(layer.output_shape[0])
    ]


def naive_pixel(quantized, layer, x, o, row, column):
    channels, height, width = layer.input_shape
    window, taps = layer.window, []
    for i, j in product(range(window.kernel[0]), range(window.kernel[1])):
        y = row * window.stride[0] - window.padding[0] + i
        z = column * window.stride[1] - window.padding[1] + j
        if 0 <= y < height and 0 <= z < width:
            taps.append((i, j, y, z))
    if isinstance(layer, MaxPool):
        return max(x[o][y][z] for _, _, y, z in taps)
    entry = quantized.layers[layer.name]
    total = sum(int(entry.weight[o, c, i, j]) * x[c][y][z] for c in range(channels) for i, j, y, z in taps)
    return naive_output(layer, entry, o, total)


def naive_output(layer, entry, o, total):
    # Python rounds a Fraction to nearest, ties to even.
    value = round(Fraction(total + int(entry.bias[o]), 2 ** int(entry.shift[o])))
    value = max(value, 0) if layer.relu else value
    return min(max(value, entry.output.min), entry.output.max)


def assert_equals_naive(quantized, images):
    maps = run_integers(quantized, images, keep=True)
    for index, image in enumerate(images):
        naive = {quantized.network.input_name: image.tolist()}
        for layer in quantized.network.layers:
            naive[layer.name] = naive_layer(quantized, layer, naive[layer.inputs[0]])
            assert maps[layer.name][index].tolist() == naive[layer.name], layer.name


def random_network(seed, activation_bits, weight_bits):
    builder = RandomNetwork(seed, (3, 9, 8), activation_bits=activation_bits, weight_bits=weight_bits)
    builder.convolution(5, (3, 2), stride=(1, 2), padding=(1, 0, 2, 1))
    builder.pool((3, 2), stride=(2, 1), padding=(1, 1, 0, 0))
    builder.convolution(4, (3, 3), stride=(2, 1), relu=False)
    builder.dense(6).dense(3, relu=False)
    return builder


@pytest.mark.parametrize("bits", [(2, 2), (8, 4), (8, 8), (7, 13), (16, 16)])
def test_equals_plain_python(bits):
    builder = random_network(sum(bits), *bits)
    assert_equals_naive(builder.finish(), builder.images(3))


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


def test_worked_by_hand():
    # 3*2 - 1*5 + 1 = 2; 2/4 = 0.5 -> 0. 3*7 - 1*1 + 2 = 22; 22/4 = 5.5 -> 6. 3*-8 - 0 - 2 = -26; -6.5 -> -6.
    weight = [[3, -1], [3, -1], [3, 0]]
    quantized = one_dense(weight, [1, 2, -2], shift=2)
    images = np.array([[2, 5], [7, 1], [-8, 0]]).reshape(3, 2, 1, 1)
    outputs = run_integers(quantized, images)["fc"][:, :, 0, 0]
    assert (outputs[0, 0], outputs[1, 1], outputs[2, 2]) == (0, 6, -6)
    assert outputs.dtype == np.int32


def test_relu_comes_before_saturation_and_after_rounding():
    accumulators = np.array([-500, -3, -1, 0, 1, 3, 5, 1023]).reshape(1, 1, 1, 8)
    assert requantize(accumulators, [1], True, 8).ravel().tolist() == [0, 0, 0, 0, 0, 2, 2, 127]
    assert requantize(accumulators, [1], False, 8).ravel().tolist() == [-128, -2, 0, 0, 0, 2, 2, 127]


def test_each_channel_has_its_own_shift():
    accumulators = np.full((1, 3, 1, 1), 12)
    assert requantize(accumulators, [0, 3, 2], False, 8).ravel().tolist() == [12, 2, 3]


@pytest.mark.parametrize("inputs", [1024, 1025, 5000])
def test_exact_at_and_beyond_what_float32_holds(inputs):
    # 1024 * 128 * 128 = 2**24 is the last sum that float32 is trusted with; odd products show a lost bit.
    weight = np.full((2, inputs), -128)
    weight[1, 1::2] = 127
    quantized = one_dense(weight, [0, 0])
    x = np.full((1, inputs, 1, 1), -128)
    x[:, 1::2] = -127
    acc = accumulate(quantized.network.layers[0], quantized.layers["fc"], x, quantized.input)
    expected = [sum(int(w) * int(v) for w, v in zip(row, x.ravel(), strict=True)) for row in weight]
    assert acc.ravel().tolist() == expected


def test_float32_is_used_only_where_proved():
    chosen = {}
    for inputs in (1024, 1025):
        entry = one_dense(np.full((1, inputs), -128), [0]).layers["fc"]
        chosen[inputs] = integer_engine._exact_float(entry, Format(bits=8, fl=0))
    assert chosen == {1024: np.float32, 1025: np.float64}


def test_a_bias_beyond_float32_is_added_in_integers():
    quantized = one_dense([[1]], [(1 << 40) + 1])
    layer, entry = quantized.network.layers[0], quantized.layers["fc"]
    assert accumulate(layer, entry, np.full((1, 1, 1, 1), 2), quantized.input).item() == (1 << 40) + 3


def test_refuses_sums_that_float64_cannot_hold():
    entry = one_dense([[1, 1]], [0]).layers["fc"]
    object.__setattr__(entry, "weight", np.array([[1 << 47, 1]]))
    with pytest.raises(ValueError, match=r"layer fc sums up to 18014398509482112, above the 2\*\*53"):
        integer_engine._exact_float(entry, Format(bits=8, fl=0))


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


def test_batches_do_not_change_results(monkeypatch):
    builder = random_network(5, 8, 8)
    quantized, images = builder.finish(), builder.images(7)
    whole = run_integers(quantized, images, keep=True)
    monkeypatch.setattr(
        integer_engine, "BATCH_BYTES", 3 * max(map(integer_engine.working_bytes, quantized.network.layers))
    )
    monkeypatch.setattr(integer_engine, "COLUMN_BYTES", 2 * 3 * 3 * 2 * 9 * 5 * 4)  # two images of conv1
    parts = run_integers(quantized, images, keep=True)
    assert whole.keys() == parts.keys() == {"image", *(layer.name for layer in quantized.network.layers)}
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    last = quantized.network.layers[-1].name
    output = run_integers(quantized, images)
    assert output.keys() == {last}
    assert np.array_equal(output[last], whole[last])


def test_batches_cover_every_image_once():
    assert integer_engine.batches(5, integer_engine.BATCH_BYTES // 2) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert integer_engine.batches(2, 10 * integer_engine.BATCH_BYTES) == [slice(0, 1), slice(1, 2)]


def test_run_quantizes_the_images_with_the_input_format():
    quantized = one_dense([[1]], [0])
    maps = run(quantized, np.array([0.5, 1.5, -2.6, 900.0], np.float32).reshape(4, 1, 1, 1))
    assert maps["image"].ravel().tolist() == [0, 2, -3, 127]
    assert maps["fc"].ravel().tolist() == [0, 2, -3, 127]


def test_a_map_read_twice_is_kept_until_its_last_reader():
    window = Window(kernel=(1, 1))
    common = {"input_shape": (1, 1, 1), "output_shape": (1, 1, 1), "window": window}
    zeros = {"weight": np.zeros((1, 1, 1, 1), np.float32), "bias": np.zeros(1, np.float32)}
    layers = (
        MaxPool(name="a", inputs=("image",), **common),
        Convolution(name="b", inputs=("image",), **common, **zeros),
        MaxPool(name="c", inputs=("a",), **common),
    )
    network = Network(name="fork", input_name="image", input_shape=(1, 1, 1), layers=layers)
    entry = one_dense([[1]], [0]).layers["fc"]
    object.__setattr__(entry, "weight", np.ones((1, 1, 1, 1), np.int32))
    quantized = QuantizedNetwork(network=network, input=Format(bits=8, fl=0), layers={"b": entry})
    assert run_integers(quantized, np.full((1, 1, 1, 1), 9))["c"].item() == 9


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 1, 1), int), r"images are \[N, 1, 1, 1\] with N >= 1, not \[1, 2, 1, 1\]"),
        (np.zeros((0, 1, 1, 1), int), r"with N >= 1, not \[0, 1, 1, 1\]"),
        (np.zeros((1, 1, 1, 1)), "quantized images are integers, not float64"),
        (np.full((1, 1, 1, 1), 128), "quantized images lie in -128 to 127, not 128 to 128"),
    ],
)
def test_refuses_images_that_are_not_the_input(images, message):
    with pytest.raises(ValueError, match=message):
        run_integers(one_dense([[1]], [0]), images)
