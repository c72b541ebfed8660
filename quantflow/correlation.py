"""Sums of products over sliding windows, through BLAS: what both engines' convolutions are made of.

The result has the type of the maps, float32 or float64; integers that it holds come out exact. Maps go through in
parts that stay in a core's cache: what is unfolded from them is read again at once.
"""

from itertools import product

import numpy as np

from quantflow.windows import folded, spans, windows

COLUMN_BYTES = 1 << 21  # of unfolded windows at a time, near the size of a core's cache
MAP_BYTES = 1 << 18  # of maps at a time where they are not unfolded, several of them being in use
BLAS_COLUMNS = 64  # of a matrix, from which on an image is multiplied by itself: with fewer BLAS is slow


def correlate(x, weight, window, groups=1):
    """Cross-correlation [N, O, OH, OW] of the maps [N, C, H, W] with weights [O, C / groups, kh, kw]."""
    weight = weight.astype(x.dtype, copy=False)
    if groups > 1 and weight.shape[1] == 1:
        return _depthwise(x, weight, window)
    matrix = weight.reshape(groups, len(weight) // groups, -1)
    height, width = window.output_size(*x.shape[2:])
    output = np.empty((len(x), len(weight), height, width), dtype=x.dtype)
    multiply = _each if height * width >= BLAS_COLUMNS else _together
    multiply(x, matrix, window, output)
    return output


def _each(x, matrix, window, output):
    """One multiplication for each image and group, or for some rows of it: [R, K] by [K, rows OW]."""
    groups, rows, width = matrix.shape
    pixels = output.shape[2] * output.shape[3]
    if window.kernel == window.stride == (1, 1) and not any(window.padding):
        np.matmul(matrix, x.reshape(len(x), groups, width, pixels), out=output.reshape(-1, groups, rows, pixels))
        return
    height, across = output.shape[2:]
    line_bytes = x.itemsize * groups * width * across
    step, lines = _step(line_bytes * height), min(height, _step(line_bytes))
    columns = np.zeros((min(step, len(x)), x.shape[1], *window.kernel, lines, across), dtype=x.dtype)
    sums = output.reshape(len(x), groups, rows, pixels)
    for first, line in product(range(0, len(x), step), range(0, height, lines)):
        part = x[first : first + step]
        taken = columns[: len(part), ..., : min(lines, height - line), :]
        _unfold(part, window, taken, line)
        places = slice(line * across, (line + lines) * across)
        taken = taken.reshape(len(part), groups, width, -1)
        np.matmul(matrix, taken, out=sums[first : first + step, ..., places])


def _together(x, matrix, window, output):
    """One multiplication for all images of a part and each group: [R, K] by [K, N OH OW]."""
    groups, _, width = matrix.shape
    step = _step(x.itemsize * groups * width * output.shape[2] * output.shape[3])
    for first in range(0, len(x), step):
        part, sums = x[first : first + step], output[first : first + step]
        columns = np.zeros((x.shape[1], *window.kernel, len(part), *output.shape[2:]), dtype=x.dtype)
        _unfold(part, window, columns.transpose(3, 0, 1, 2, 4, 5))
        result = np.matmul(matrix, columns.reshape(groups, width, -1))
        sums[:] = result.reshape(sums.shape[1], len(part), *sums.shape[2:]).swapaxes(0, 1)


def _step(image_bytes):
    return max(1, COLUMN_BYTES // image_bytes)


def _unfold(x, window, columns, line=0):
    """Write the taps of the output's rows from `line` on into `columns` [N, C, kh, kw, rows, OW].

    Places left and right of the maps [N, C, H, W] are not written: they are 0 already.
    """
    stop = line + columns.shape[4]
    for i, (rows, map_rows) in enumerate(spans(window, 0, x.shape[2])):
        inside = slice(min(max(rows.start, line), stop), max(min(rows.stop, stop), line))
        start = map_rows.start + (inside.start - rows.start) * window.stride[0]
        map_rows = slice(start, start + (inside.stop - inside.start) * window.stride[0], window.stride[0])
        columns[:, :, i, :, : inside.start - line] = columns[:, :, i, :, inside.stop - line :] = 0
        for j, (places, map_places) in enumerate(spans(window, 1, x.shape[3])):
            columns[:, :, i, j, inside.start - line : inside.stop - line, places] = x[:, :, map_rows, map_places]


def _depthwise(x, weight, window):
    """One input channel for each output channel: a sum over the window's taps, without multiplying matrices.

    The padded map is cut into stride x stride phases, in which neighbours lie side by side whatever the stride.
    A tap is then one run of values in its phase for all output pixels, and for the places behind each row's last.
    """
    x = np.repeat(x, len(weight) // x.shape[1], axis=1) if len(weight) != x.shape[1] else x
    height, width = window.output_size(*x.shape[2:])
    output = np.empty((len(x), len(weight), height, width), dtype=x.dtype)
    step = max(1, MAP_BYTES // (x.itemsize * len(weight) * height * width))
    for first in range(0, len(x), step):
        phases = _phases(x[first : first + step], window)
        across, phases = phases.shape[-1], phases.reshape(*phases.shape[:4], -1)
        run = (height - 1) * across + width
        sums = np.zeros((*phases.shape[2:4], height * across), dtype=x.dtype)
        products = np.empty((*phases.shape[2:4], run), dtype=x.dtype)
        for row, column in np.ndindex(*window.kernel):
            down, i = divmod(row * window.dilation[0], window.stride[0])
            right, j = divmod(column * window.dilation[1], window.stride[1])
            start = down * across + right
            np.multiply(phases[i, j, :, :, start : start + run], weight[:, 0, row, column, None], out=products)
            sums[..., :run] += products
        output[first : first + step] = sums.reshape(*sums.shape[:2], height, across)[..., :width]
    return output


def _phases(x, window):
    """Every stride-th row and column of the padded maps: [sh, sw, N, C, rows, columns]."""
    top, left, bottom, right = window.padding
    (down, across), (height, width) = window.stride, x.shape[2:]
    size = (-(-(height + top + bottom) // down), -(-(width + left + right) // across))
    phases = np.zeros((down, across, *x.shape[:2], *size), dtype=x.dtype)
    for i, j in np.ndindex(down, across):
        row, column = (i - top) % down, (j - left) % across
        part = x[:, :, row::down, column::across]
        row, column = (row + top) // down, (column + left) // across
        phases[i, j, :, :, row : row + part.shape[2], column : column + part.shape[3]] = part
    return phases


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
    return folded(x, layer.window, np.add, 0)
