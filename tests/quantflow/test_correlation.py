"""Correlations and sums over windows against their definitions, product by product."""

import tracemalloc
from itertools import product

import numpy as np
import pytest

from quantflow import correlation
from quantflow.correlation import correlate, tap_count, tap_sums
from quantflow.graph import AveragePool, Window

WINDOWS = [
    Window(kernel=(1, 1)),
    Window(kernel=(1, 1), stride=(2, 3)),
    Window(kernel=(1, 1), padding=(0, 1, 0, 0)),
    Window(kernel=(3, 2), stride=(1, 2), padding=(1, 0, 2, 1)),
    Window(kernel=(2, 3), dilation=(3, 2), padding=(0, 2, 1, 1)),
    Window(kernel=(6, 7)),
]
# (input channels, outputs, groups)
SHAPES = [(1, 1, 1), (3, 5, 1), (1, 4, 1), (4, 6, 2), (6, 3, 3), (3, 3, 3), (3, 9, 3)]


def places(window, row, column):
    """(kernel row, kernel column, row, column) of each tap of an output pixel, outside the map too."""
    for i, j in product(*map(range, window.kernel)):
        yield (
            i,
            j,
            row * window.stride[0] + i * window.dilation[0] - window.padding[0],
            column * window.stride[1] + j * window.dilation[1] - window.padding[1],
        )


def naive(x, weight, window, groups):
    height, width = x.shape[2:]
    output = np.zeros((len(x), len(weight), *window.output_size(height, width)))
    channels = weight.shape[1]
    for o, row, column in np.ndindex(*output.shape[1:]):
        first = o // (len(weight) // groups) * channels
        for i, j, y, z in places(window, row, column):
            if 0 <= y < height and 0 <= z < width:
                output[:, o, row, column] += x[:, first : first + channels, y, z] @ weight[o, :, i, j]
    return output


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("column_bytes", [1, 1 << 24])
def test_integers_come_out_exact(window, shape, dtype, column_bytes, monkeypatch):
    monkeypatch.setattr(correlation, "COLUMN_BYTES", column_bytes)
    random = np.random.default_rng(shape)
    channels, outputs, groups = shape
    x = random.integers(-50, 50, (3, channels, 6, 7)).astype(dtype)
    weight = random.integers(-50, 50, (outputs, channels // groups, *window.kernel)).astype(np.int32)
    output = correlate(x, weight, window, groups)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, naive(x.astype(np.float64), weight, window, groups))


@pytest.mark.parametrize("shape", SHAPES)
def test_strided_views_are_read_right(shape):
    random = np.random.default_rng(1)
    channels, outputs, groups = shape
    x = random.integers(-50, 50, (2, 2 * channels, 12, 7)).astype(np.float32)[:, ::2, ::2, ::-1]
    weight = random.integers(-50, 50, (outputs, channels // groups, 2, 2))
    window = Window(kernel=(2, 2))
    np.testing.assert_array_equal(correlate(x, weight, window, groups), naive(x, weight, window, groups))


def test_large_maps_are_unfolded_some_rows_at_a_time(monkeypatch):
    monkeypatch.setattr(correlation, "COLUMN_BYTES", 1 << 16)
    random = np.random.default_rng(4)
    x = random.integers(-50, 50, (1, 4, 96, 64)).astype(np.float32)
    weight = random.integers(-50, 50, (2, 4, 5, 5))
    window = Window(kernel=(5, 5), padding=(2, 2, 2, 2))
    tracemalloc.start()
    output = correlate(x, weight, window)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < output.nbytes + 4 * correlation.COLUMN_BYTES < 4 * 25 * x.nbytes / 8
    np.testing.assert_array_equal(output[..., 40:43, :], naive(x, weight, window, 1)[..., 40:43, :])


def test_worked_by_hand():
    # Two groups: [1 2] . [3 4] = 11 and [5 6] . [7 8] = 83.
    x = np.float32([1, 2, 5, 6]).reshape(1, 4, 1, 1)
    weight = np.int32([[3, 4], [7, 8]]).reshape(2, 2, 1, 1)
    assert correlate(x, weight, Window(kernel=(1, 1)), 2).ravel().tolist() == [11, 83]


def pool(window, size=(5, 6), count_include_pad=False):
    shapes = {"input_shape": (2, *size), "output_shape": (2, *window.output_size(*size))}
    return AveragePool(name="p", inputs=("x",), window=window, count_include_pad=count_include_pad, **shapes)


POOLS = [
    Window(kernel=(2, 3)),
    Window(kernel=(5, 6)),
    Window(kernel=(5, 6), padding=(1, 1, 1, 1)),
    Window(kernel=(3, 2), stride=(2, 1), padding=(2, 1, 1, 0)),
    Window(kernel=(2, 2), dilation=(2, 3), padding=(1, 0, 0, 1)),
]


@pytest.mark.parametrize("window", POOLS)
def test_taps_are_summed_and_counted(window):
    layer = pool(window)
    x = np.random.default_rng(2).integers(-9, 9, (3, 2, 5, 6)).astype(np.float32)
    sums, counts = np.zeros((3, *layer.output_shape)), np.zeros(layer.output_shape[1:])
    for row, column in np.ndindex(*counts.shape):
        for _, _, y, z in places(window, row, column):
            if 0 <= y < 5 and 0 <= z < 6:
                sums[:, :, row, column] += x[:, :, y, z]
                counts[row, column] += 1
    found = tap_sums(layer, x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, sums)
    np.testing.assert_array_equal(np.broadcast_to(tap_count(layer), counts.shape), counts)
    assert tap_count(pool(window, count_include_pad=True)) == window.kernel[0] * window.kernel[1]


def test_the_count_at_the_corners_by_hand():
    layer = pool(Window(kernel=(3, 3), padding=(1, 1, 1, 1)), size=(3, 3))
    assert tap_count(layer).tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
