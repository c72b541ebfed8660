"""What a Gather says of a map is what slices and paddings do to it."""

import numpy as np
import pytest

from quantflow.compiler.lowering.gather import Axis, Gather, placed
from quantflow.graph import Pad, Slice, Window
from quantflow.moves import cut, pad


def through(seed, shape=(5, 9, 8)):
    """A random chain of Slices and Pads over a map: (the map, what comes out, the Gather)."""
    random = np.random.default_rng(seed)
    x = random.integers(1, 1000, (1, *shape))
    out, seen = x, Gather.whole("x", shape)
    for number in range(4):
        size = out.shape[1:]
        before, after = (tuple(random.integers(0, 3, 3).tolist()) for _ in range(2))
        start, step = (tuple(random.integers(low, 3, 3).tolist()) for low in (0, 1))
        start = tuple(first if extent > 2 else 0 for first, extent in zip(start, size, strict=True))
        common = {"name": "y", "inputs": ("x",), "input_shape": size}
        if number % 2:
            taken = tuple(-(-(n - first) // by) for n, first, by in zip(size, start, step, strict=True))
            layer = Slice(start=start, step=step, output_shape=taken, **common)
            out, seen = cut(layer, out), seen.cut(layer)
        else:
            shape = tuple(np.add(size, before) + after)
            layer = Pad(before=before, after=after, output_shape=shape, **common)
            out, seen = pad(layer, out, 0), seen.pad(layer)
    return x, out, seen


def read(x, seen):
    """What a Gather describes, place by place."""
    result = np.zeros((1, *seen.shape), x.dtype)
    for c, channel in enumerate(seen.channels):
        for y in range(seen.rows.first, seen.rows.stop):
            for z in range(seen.columns.first, seen.columns.stop):
                row, column = y * seen.rows.step + seen.rows.offset, z * seen.columns.step + seen.columns.offset
                assert row >= 0 and column >= 0
                result[0, c, y, z] = x[0, channel, row, column] if channel >= 0 else 0
    return result


@pytest.mark.parametrize("seed", range(30))
def test_chains_of_slices_and_paddings(seed):
    x, out, seen = through(seed)
    assert seen.shape == out.shape[1:]
    np.testing.assert_array_equal(read(x, seen), out)


@pytest.mark.parametrize("seed", range(30))
def test_a_window_is_placed_over_the_part_that_is_read(seed):
    """Each tap of each result that is wanted reads the same pixel, or zero."""
    x, out, seen = through(seed)
    if seen.empty or min(seen.shape) < 2:
        pytest.skip("too little is left of the map")
    random = np.random.default_rng(seed)
    window = Window(kernel=(2, 1), stride=(1, 2), padding=tuple(random.integers(0, 2, 4).tolist()))
    height, width = window.output_size(*seen.shape[1:])
    starts, sizes, moved = placed(window, seen.rows, seen.columns, (1, height, width))
    part = x[:, :, starts[0] : starts[0] + sizes[0], starts[1] : starts[1] + sizes[1]]
    assert part.shape[2:] == sizes
    padded = np.pad(out, ((0, 0), (0, 0), window.padding[::2], window.padding[1::2]))
    around = np.pad(part, ((0, 0), (0, 0), moved.padding[::2], moved.padding[1::2]))
    for y, z, tap in np.ndindex(height, width, 2):
        expected = padded[0, :, y * window.stride[0] + tap, z * window.stride[1]]
        found = around[0, :, y * moved.stride[0] + tap * moved.dilation[0], z * moved.stride[1]]
        for channel, value in zip(seen.channels, expected, strict=True):
            assert value == (found[channel] if channel >= 0 else 0)


def test_channels_that_begin_at_a_block():
    whole = Gather.whole("x", (12, 1, 1))
    rows = {"rows": Axis.whole(1), "columns": Axis.whole(1)}
    assert whole.first_block(4) == 0
    assert Gather(map="x", channels=np.arange(8, 11), **rows).first_block(4) == 2
    assert Gather(map="x", channels=np.arange(2, 5), **rows).first_block(4) is None
    assert Gather(map="x", channels=np.array([4, 6]), **rows).first_block(4) is None
    assert Gather(map="x", channels=np.array([-1, 0]), **rows).first_block(4) is None
