"""The search for one fractional length: start where nothing overflows, stop where nothing can improve."""

import math

import numpy as np

from quantflow.arithmetic import dequantize, quantize

CHUNK_VALUES = 1 << 20  # values compared at once


def search(start, score, bound, lowest=-math.inf, highest=math.inf):
    """The fl in [lowest, highest] with the least score; the one nearer to `start` among equals.

    Walks from `start` upwards, then downwards. `bound(fl)` is at most `score(fl)` and must not fall as
    fl moves away from `start` on either side; so where it reaches the least score found, nothing
    beyond can be better and the walk ends. The result is the best of all, not only of its neighbourhood.
    """
    best, least = start, score(start)
    for direction in (1, -1):
        fl = start + direction
        while lowest <= fl <= highest and bound(fl) < least:
            error = score(fl)
            if error < least:
                best, least = fl, error
            fl += direction
    return best


def total_error(values, others, power=1):
    """sum |x - y|**power in float64 over two arrays of one shape; `power` is 1 or 2."""
    difference = np.abs(values - others)
    return float((difference if power == 1 else difference * difference).sum(dtype=np.float64))


def quantization_error(values, format, power=1):
    """sum |x - x(bits, fl)|**power: what rounding and saturation to `format` do to `values`."""
    return sum(total_error(x, dequantize(quantize(x, format), format), power) for x in _chunks(values))


def saturation_error(values, format, power=1):
    """The part of sum |x - y|**power that no y of `format` avoids, because x is out of its range.

    It grows with fl, unlike the rounding error, which makes it a bound for all larger fl.
    """
    low, high = format.min * format.scale, format.max * format.scale
    return sum(total_error(x, np.clip(x, low, high), power) for x in _chunks(values))


def error_bound(values, format, start, power=1):
    """The bound that `search` needs for scores sum |x - y|**power, y being any values of `format`.

    Above `start`, the saturation error. Below it nothing saturates and each grid is a part of the next
    finer one, so the distance to the nearest point of the grid never falls with fl.
    """
    if format.fl > start:
        return saturation_error(values, format, power)
    return quantization_error(values, format, power)


def _chunks(values):
    """The values as flat float64 pieces, so that large arrays need little memory beside them."""
    flat = values.reshape(-1)
    return (flat[start : start + CHUNK_VALUES].astype(np.float64) for start in range(0, flat.size, CHUNK_VALUES))
