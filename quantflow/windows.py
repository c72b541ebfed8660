"""Sliding windows over feature maps, for floats and integers alike: as a view, tap by tap, or folded into one value."""

from functools import lru_cache

import numpy as np


def windows(x, window, fill):
    """Every window of every map: `result[n, c, i, j, y, x]` is tap (i, j) of output pixel (y, x).

    `x` is [N, C, H, W] of any dtype, `window` a `graph.Window`; padded positions read as `fill`, which
    must be representable in the dtype of `x`. Returns a read-only view [N, C, kh, kw, OH, OW] of `x`
    (or of one padded copy); reshape it, or give it to a matmul, to have it laid out in memory. Raises
    ValueError where the window is larger than the padded map.
    """
    top, left, bottom, right = window.padding
    height, width = x.shape[2:]
    output_height, output_width = window.output_size(height, width)
    if output_height < 1 or output_width < 1:
        raise ValueError(
            f"a window of {window.extent[0]}x{window.extent[1]} does not fit in a map of "
            f"{height}x{width} padded by {window.padding} (top, left, bottom, right)"
        )
    if any(window.padding):
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    image, channel, row, column = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        shape=(*x.shape[:2], *window.kernel, output_height, output_width),
        strides=(
            image,
            channel,
            row * window.dilation[0],
            column * window.dilation[1],
            row * window.stride[0],
            column * window.stride[1],
        ),
        writeable=False,
    )


@lru_cache
def spans(window, axis, size):
    """For each tap of a map that has `size` rows (axis 0) or columns (axis 1), what of it lies inside.

    A pair of slices each: of the output's rows or columns, and of those that the tap reads for them in the map.
    """
    count, stride = window.output_size(size, size)[axis], window.stride[axis]
    found = []
    for tap in range(window.kernel[axis]):
        offset = tap * window.dilation[axis] - window.padding[axis]  # of what output 0 reads
        first = max(0, -(offset // stride))
        stop = max(first, min(count, (size - 1 - offset) // stride + 1))
        start = first * stride + offset
        found.append((slice(first, stop), slice(start, start + (stop - first) * stride, stride)))
    return tuple(found)


def folded(x, window, combine, start):
    """The taps inside the map combined into one value: [N, C, OH, OW] of the type of `x` [N, C, H, W].

    `combine` is a ufunc that does not mind the order, as np.add and np.maximum on integers; each value begins as
    `start`. Columns are folded after rows: kh + kw steps in place of kh kw.
    """
    down, across = (spans(window, axis, x.shape[2 + axis]) for axis in (0, 1))
    height, width = window.output_size(*x.shape[2:])
    rows = np.full((*x.shape[:2], height, x.shape[3]), start, dtype=x.dtype)
    for inside, read in down:
        combine(rows[:, :, inside], x[:, :, read], out=rows[:, :, inside])
    output = np.full((*x.shape[:2], height, width), start, dtype=x.dtype)
    for inside, read in across:
        combine(output[..., inside], rows[..., read], out=output[..., inside])
    return output
