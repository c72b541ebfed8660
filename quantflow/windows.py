"""Sliding windows over feature maps (im2col) without copying, for floats and integers alike."""

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
