"""Pooling: apart, fused behind a convolution, and the folding of the input."""

import numpy as np
import pytest

from quantflow.compiler.lowering import Fold
from quantflow.isa import Operation
from tests.quantflow.lowered import checked, config
from tests.quantflow.networks import RandomNetwork

AROUND = (1, 1, 1, 1)


def test_pooling_is_fused_only_where_it_saves_cycles():
    wide = RandomNetwork(1, (3, 8, 8)).convolution(4, (3, 3), padding=AROUND).pool((2, 2))
    stages, maps, _ = checked(wide.finish(), wide.images(2), config(4))
    assert [stage.pool for stage in stages] == [(2, 2)] and set(maps) == {"image", "pool2"}
    narrow = RandomNetwork(1, (32, 8, 4)).convolution(4, (3, 3), padding=AROUND).pool((2, 2))
    stages, _, _ = checked(narrow.finish(), narrow.images(2), config(4, pixels=4))
    assert [stage.pool for stage in stages] == [(1, 1)] * 2


@pytest.mark.parametrize(
    "window", [((3, 3), (2, 2)), ((2, 2), (2, 2), (0, 0, 1, 1)), ((2, 2), (1, 1)), ((2, 1), (2, 1))]
)
@pytest.mark.parametrize("relu", [False, True])
def test_windows(window, relu):
    builder = RandomNetwork(2, (3, 9, 8)).convolution(
        5, (3, 3), padding=AROUND, relu=relu, maximum=0.5 if relu else None
    )
    builder.pool(*window)
    checked(builder.finish(), builder.images(2), config(4))


def test_dilated_pooling_is_not_fused():
    builder = RandomNetwork(2, (3, 9, 8)).convolution(5, (3, 3), padding=AROUND).pool((2, 2), (2, 2), dilation=(2, 3))
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert [stage.operation for stage in stages] == [Operation.CONVOLVE, Operation.MAXIMUM]


def test_a_map_that_others_read_is_not_fused_away():
    builder = RandomNetwork(2, (3, 8, 8)).convolution(4, (3, 3), padding=AROUND)
    first = builder.last
    builder.pool((2, 2))
    small = builder.last
    builder.pool((2, 2), (2, 2), source=first).add(small)
    _, maps, _ = checked(builder.finish(), builder.images(2), config(4))
    assert first in maps


def test_a_convolution_with_a_residual_is_not_fused():
    builder = RandomNetwork(2, (3, 8, 8)).convolution(4, (3, 3), padding=AROUND)
    builder.convolution(4, (3, 3), padding=AROUND, residual=builder.last).pool((2, 2))
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert len(stages) == 3


@pytest.mark.parametrize("vary", [False, True])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 0, 1), (2, 0, 1, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 3)])
def test_few_input_channels_are_folded(stride, padding, vary):
    builder = RandomNetwork(3, (1, 12, 11), vary=vary).convolution(8, (5, 5), stride, padding).convolution(4, (1, 1))
    stages, maps, fold = checked(builder.finish(), builder.images(2), config(8))
    assert fold is not None and maps["image"].shape == fold.apply(builder.images(1)).shape[1:] == stages[0].input_shape
    assert stages[0].steps < 25


@pytest.mark.parametrize(("channels", "kernel", "rows"), [(1, 3, 3), (3, 5, 1)])
def test_rows_are_folded_too_where_the_taps_fit_one_block(channels, kernel, rows):
    """9 taps of one channel fit 16 lanes; 75 would take as many steps as 5 rows do, and bring in more words."""
    builder = RandomNetwork(4, (channels, 16, 16)).convolution(16, (kernel, kernel))
    _, _, fold = checked(builder.finish(), builder.images(1), config(16))
    assert fold.rows == rows


def test_an_input_with_two_readers_is_not_folded():
    builder = RandomNetwork(3, (1, 12, 11)).convolution(8, (5, 5)).convolution(8, (5, 5), source="image")
    builder.add("conv1")
    assert checked(builder.finish(), builder.images(2), config(8))[2] is None


def test_an_input_that_is_added_to_its_own_convolution_is_not_folded():
    builder = RandomNetwork(3, (1, 8, 8)).convolution(1, (3, 3), padding=AROUND, residual="image")
    assert checked(builder.finish(), builder.images(2), config(8))[2] is None


@pytest.mark.parametrize("rows", [False, True])
def test_what_a_fold_lays_out(rows):
    """folded[(c, j, k), y, x] is pixel (y * row_stride + j - top, x * stride + k - left)."""
    rng = np.random.default_rng(5)
    image = rng.integers(1, 99, (2, 3, 6, 7))
    fold = Fold(columns=3, stride=2, left=1, width=4)
    if rows:
        fold = Fold(columns=3, stride=2, left=1, width=4, rows=2, row_stride=3, top=1, height=2)
    folded = fold.apply(image)
    height, kernel_rows = (2, 2) if rows else (6, 1)
    assert folded.shape == (2, 3 * kernel_rows * 3, height, 4)
    folded = folded.reshape(2, 3, kernel_rows, 3, height, 4)
    for c, j, k, y, x in np.ndindex(*folded.shape[1:]):
        row, column = (y * 3 + j - 1 if rows else y), x * 2 + k - 1
        inside = 0 <= row < 6 and 0 <= column < 7
        expected = image[:, c, row, column] if inside else np.zeros(2)
        np.testing.assert_array_equal(folded[:, c, j, k, y, x], expected)
