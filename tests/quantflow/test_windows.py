"""Windows against their definition, tap by tap."""

import numpy as np
import pytest

from quantflow.graph import Window
from quantflow.windows import folded, spans, windows

WINDOWS = pytest.mark.parametrize(
    "window",
    [
        Window(kernel=(1, 1)),
        Window(kernel=(3, 2), stride=(2, 3)),
        Window(kernel=(2, 5), stride=(1, 2), padding=(1, 0, 3, 2)),
        Window(kernel=(7, 8), padding=(0, 1, 0, 0)),
        Window(kernel=(1, 1), stride=(3, 3), padding=(0, 0, 1, 1)),
        Window(kernel=(3, 2), stride=(1, 2), dilation=(2, 4)),
        Window(kernel=(2, 3), stride=(2, 1), padding=(2, 3, 1, 0), dilation=(5, 3)),
    ],
)


@WINDOWS
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int8])
def test_each_tap_is_the_padded_maps_pixel(window, dtype):
    x = np.random.default_rng(1).integers(-100, 100, (2, 3, 7, 7)).astype(dtype)
    top, left, bottom, right = window.padding
    padded = np.full((2, 3, 7 + top + bottom, 7 + left + right), -77, dtype=dtype)
    padded[:, :, top : top + 7, left : left + 7] = x
    height, width = window.output_size(7, 7)
    result = windows(x, window, -77)
    assert result.shape == (2, 3, *window.kernel, height, width)
    assert result.dtype == dtype
    for i, j, row, column in np.ndindex(*window.kernel, height, width):
        y = i * window.dilation[0] + row * window.stride[0]
        expected = padded[:, :, y, j * window.dilation[1] + column * window.stride[1]]
        np.testing.assert_array_equal(result[:, :, i, j, row, column], expected)


def test_a_strided_input_is_read_right():
    x = np.arange(2 * 2 * 8 * 8, dtype=np.int64).reshape(2, 2, 8, 8)[:, ::-1, ::2, ::-2]
    window = Window(kernel=(2, 2), stride=(2, 2))
    np.testing.assert_array_equal(windows(x, window, 0), windows(x.copy(), window, 0))


def test_minus_infinity_pads_a_float_map():
    x = np.ones((1, 1, 2, 2), dtype=np.float32)
    result = windows(x, Window(kernel=(2, 2), padding=(1, 1, 0, 0)), -np.inf)
    assert result[0, 0, 0, 0, 0, 0] == -np.inf
    assert result[0, 0, 1, 1, 0, 0] == 1


def test_a_window_larger_than_its_map_is_refused():
    with pytest.raises(ValueError, match="3x2 does not fit in a map of 2x2 padded by"):
        windows(np.zeros((1, 1, 2, 2)), Window(kernel=(3, 2)), 0)
    with pytest.raises(ValueError, match="2x5 does not fit in a map of 4x4 padded by"):
        windows(np.zeros((1, 1, 4, 4)), Window(kernel=(2, 2), dilation=(1, 4)), 0)


def test_the_view_cannot_be_written_through():
    result = windows(np.zeros((1, 1, 3, 3)), Window(kernel=(2, 2)), 0)
    with pytest.raises(ValueError, match="read-only"):
        result[...] = 1


@WINDOWS
def test_spans_are_the_places_where_a_tap_is_inside(window):
    for axis, size in ((0, 7), (1, 7), (0, 9), (1, 12)):
        count = window.output_size(size, size)[axis]
        found = spans(window, axis, size)
        assert len(found) == window.kernel[axis]
        for tap, (places, read) in enumerate(found):
            reads = [
                (place, place * window.stride[axis] + tap * window.dilation[axis] - window.padding[axis])
                for place in range(count)
            ]
            inside = [(place, row) for place, row in reads if 0 <= row < size]
            assert list(zip(range(count)[places], range(size)[read], strict=True)) == inside


@WINDOWS
@pytest.mark.parametrize("combine, start", [(np.maximum, -128), (np.add, 0)])
def test_folding_combines_the_taps_inside(window, combine, start):
    x = np.random.default_rng(4).integers(-10, 10, (2, 3, 7, 7)).astype(np.int8)
    result = folded(x, window, combine, start)
    assert result.dtype == np.int8
    expected = combine.reduce(windows(x, window, start), axis=(2, 3), dtype=np.int8)
    np.testing.assert_array_equal(result, expected)
