"""Sums of products over sliding windows, through BLAS: what both engines' convolutions are made of.

The result has the type of the maps, float32 or float64; integers that it holds come out exact.
"""

import numpy as np

from quantflow.windows import windows

COLUMN_BYTES = 1 << 24  # of unfolded windows at a time: they should stay near the caches


def correlate(x, weight, window, groups=1):
    """Cross-correlation [N, O, OH, OW] of the maps [N, C, H, W] with weights [O, C / groups, kh, kw]."""
    weight = weight.astype(x.dtype, copy=False)
    if groups == 1:
        return _dense(x, weight, window)
    if weight.shape[1] == 1:
        return _depthwise(x, weight, window)
    parts = zip(np.split(weight, groups), np.split(x, groups, axis=1), strict=True)
    return np.concatenate([_dense(part, weights, window) for weights, part in parts], axis=1)


def _dense(x, weight, window):
    height, width = window.output_size(*x.shape[2:])
    matrix = weight.reshape(len(weight), -1)
    output = np.empty((len(x), len(weight), height * width), dtype=x.dtype)
    if window.kernel == window.stride == (1, 1) and not any(window.padding):
        np.matmul(matrix, x.reshape(len(x), x.shape[1], -1), out=output)
        return output.reshape(*output.shape[:2], height, width)
    step = max(1, COLUMN_BYTES // (x.itemsize * matrix.shape[1] * height * width))
    for first in range(0, len(x), step):
        taps = windows(x[first : first + step], window, 0)
        # [C, kh, kw, N, OH, OW]: one multiplication for all images.
        columns = taps.transpose(1, 2, 3, 0, 4, 5).reshape(matrix.shape[1], -1)
        sums = (matrix @ columns).reshape(len(matrix), len(taps), -1)
        output[first : first + step] = sums.swapaxes(0, 1)
    return output.reshape(*output.shape[:2], height, width)


def _depthwise(x, weight, window):
    """One input channel for each output channel: a sum over the window's taps, without multiplying matrices."""
    x = np.repeat(x, len(weight) // x.shape[1], axis=1) if len(weight) != x.shape[1] else x
    height, width = window.output_size(*x.shape[2:])
    output = np.zeros((len(x), len(weight), height, width), dtype=x.dtype)
    step = max(1, COLUMN_BYTES // (x.itemsize * len(weight) * height * width))
    for first in range(0, len(x), step):
        taps, sums = windows(x[first : first + step], window, 0), output[first : first + step]
        for row, column in np.ndindex(*window.kernel):
            sums += taps[:, :, row, column] * weight[:, 0, row, column, None, None]
    return output


def tap_count(layer):
    """Number of taps that an average counts: everywhere the same, or float32 [OH, OW]."""
    if layer.count_include_pad or not any(layer.window.padding):
        return layer.window.kernel[0] * layer.window.kernel[1]
    ones = np.ones((1, 1, *layer.input_shape[1:]), dtype=np.float32)
    return windows(ones, layer.window, 0).sum(axis=(2, 3))[0, 0]


def tap_sums(layer, x):
    """Sum over the taps of a pooling layer's window: [N, C, OH, OW] from [N, C, H, W], of one type."""
    if layer.window.kernel == x.shape[2:] and not any(layer.window.padding):
        return x.sum(axis=(2, 3), keepdims=True, dtype=x.dtype)
    taps = windows(x, layer.window, 0)
    sums = np.zeros((len(x), *layer.output_shape), dtype=x.dtype)
    for row, column in np.ndindex(*layer.window.kernel):
        sums += taps[:, :, row, column]
    return sums
