"""The layers that only choose and move values, by their definitions, for floats and integers."""

import numpy as np
import pytest

from quantflow import moves
from quantflow.arithmetic import Format
from quantflow.graph import MaxPool, Network, Pad, Reshape, Slice, Window
from quantflow.integer_engine import run_integers
from quantflow.quantized import QuantizedNetwork
from tests.quantflow.naive import naive_maps

TYPES = [np.float32, np.float64, np.int32, np.uint8]
SHAPE = (3, 5, 6)


def maps(dtype, count=2):
    return np.random.default_rng(1).integers(1, 100, (count, *SHAPE)).astype(dtype)


def layer(kind, output_shape, **fields):
    return kind(name="y", inputs=("x",), input_shape=SHAPE, output_shape=output_shape, **fields)


POOLS = [
    Window(kernel=(2, 2), stride=(2, 2)),
    Window(kernel=(3, 2), padding=(2, 1, 1, 0)),
    Window(kernel=(2, 3), dilation=(3, 2), padding=(1, 2, 0, 0), stride=(1, 2)),
    Window(kernel=(5, 6)),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("window", POOLS)
def test_the_maximum_of_the_taps_inside(dtype, window):
    x = maps(dtype)
    y = moves.max_pool(layer(MaxPool, (3, *window.output_size(5, 6)), window=window), x, 0)
    assert y.dtype == dtype
    for (row, column), _ in np.ndenumerate(y[0, 0]):
        rows = row * window.stride[0] - window.padding[0] + np.arange(window.kernel[0]) * window.dilation[0]
        across = column * window.stride[1] - window.padding[1] + np.arange(window.kernel[1]) * window.dilation[1]
        rows, across = rows[(rows >= 0) & (rows < 5)], across[(across >= 0) & (across < 6)]
        expected = x[:, :, rows][:, :, :, across].max(axis=(2, 3))
        np.testing.assert_array_equal(y[:, :, row, column], expected)


@pytest.mark.parametrize("dtype", TYPES)
def test_pooling_leaves_its_input_alone(dtype):
    x = maps(dtype)
    before = x.copy()
    moves.max_pool(layer(MaxPool, (3, 4, 5), window=Window(kernel=(2, 2))), x, 0)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", TYPES)
def test_padding_in_all_directions(dtype):
    x = maps(dtype)
    y = moves.pad(layer(Pad, (6, 6, 10), before=(1, 0, 3), after=(2, 1, 1)), x, 7)
    assert y.dtype == dtype and y.shape == (2, 6, 6, 10)
    np.testing.assert_array_equal(y[:, 1:4, :5, 3:9], x)
    assert y.astype(np.float64).sum() == x.astype(np.float64).sum() + 7 * (y.size - x.size)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("start", "step", "shape"),
    [((0, 0, 0), (1, 1, 1), SHAPE), ((1, 2, 0), (1, 2, 3), (2, 2, 2)), ((2, 4, 5), (9, 9, 9), (1, 1, 1))],
)
def test_a_slice_takes_every_nth(dtype, start, step, shape):
    x = maps(dtype)
    y = moves.cut(layer(Slice, shape, start=start, step=step), x)
    assert y.shape == (2, *shape) and y.dtype == dtype
    for place in np.ndindex(*shape):
        c, row, column = (a + b * i for a, b, i in zip(start, step, place, strict=True))
        np.testing.assert_array_equal(y[(slice(None), *place)], x[:, c, row, column])


def test_a_slice_is_no_view():
    x = maps(np.float32)
    y = moves.cut(layer(Slice, SHAPE, start=(0, 0, 0)), x)
    y[:] = 0
    assert x.all()


@pytest.mark.parametrize("shape", [(90, 1, 1), (1, 9, 10), (6, 3, 5)])
def test_reshaping_keeps_the_order(shape):
    x = maps(np.int32)
    assert moves.reshape(layer(Reshape, shape), x).ravel().tolist() == x.ravel().tolist()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 5, 8, 16])
@pytest.mark.parametrize("value", [0.0, 0.3, -0.7, 1e9, -1e9, -np.inf])
def test_integers_with_padding_of_any_value(signed, bits, value):
    """Padding never wins a maximum; the value of a Pad is rounded and clipped to the map's format."""
    windows = {"input_shape": (3, 7, 9), "output_shape": (3, 5, 5)}
    window = Window(kernel=(3, 3), stride=(2, 2), padding=(2, 1, 2, 1))
    layers = (
        Pad(name="a", inputs=("x",), input_shape=SHAPE, output_shape=(3, 7, 9), before=(0, 1, 2), after=(0, 1, 1),
            value=value),
        MaxPool(name="b", inputs=("a",), window=window, **windows),
        Slice(name="c", inputs=("b",), input_shape=(3, 5, 5), output_shape=(2, 3, 2), start=(0, 0, 1), step=(2, 2, 3)),
        Reshape(name="d", inputs=("c",), input_shape=(2, 3, 2), output_shape=(1, 4, 3)),
    )  # fmt: skip
    network = Network(name="moves", input_name="x", input_shape=SHAPE, layers=layers)
    format = Format(bits=bits, fl=bits - 2, signed=signed)
    quantized = QuantizedNetwork(network=network, input=format, layers={})
    images = np.random.default_rng(bits).integers(format.min, format.max + 1, (3, *SHAPE))
    found = run_integers(quantized, images, keep=True)
    for index, image in enumerate(images):
        for name, expected in naive_maps(quantized, image.tolist()).items():
            assert found[name][index].tolist() == expected, name
