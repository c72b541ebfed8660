"""The search for one fractional length: start where nothing overflows, stop where nothing can improve."""

import math

import numpy as np

from quantflow.arithmetic import times_power_of_two
from quantflow.tuner.objectives import ABSOLUTE, BELOW, MAXIMUM

CHUNK_VALUES = 1 << 17  # values compared at once


def best_fl(objective, start, score, bound, above, lowest=-math.inf, highest=math.inf):
    """The fl in [lowest, highest] that `objective`, one of `tuner.objectives`, chooses; see `search` for the others.

    `start` is the largest at which nothing overflows, and MAXIMUM's choice. The absolute error is looked at near it
    only, from BELOW below to `above` above: far from it, it may be least for weights that all saturate, or for a map
    of zeros where the network's sums are poor. Among so few, bounds take longer than the scores that they save.
    """
    if objective == MAXIMUM:
        return start
    if objective == ABSOLUTE:
        lowest, highest = max(lowest, start - BELOW), min(highest, start + above)
        return search(start, score, lambda fl: -math.inf, lowest, highest)
    return search(start, score, bound, lowest, highest)


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


def total_error(difference, power=1):
    """sum |d|**power in float64; `power` is 1 or 2, and `difference` may be overwritten."""
    if power == 1:
        return float(np.abs(difference, out=difference).sum(dtype=np.float64))
    difference = difference.ravel().astype(np.float64)
    return float(difference @ difference)


def quantization_error(values, format, power=1):
    """sum |x - x(bits, fl)|**power: what rounding and saturation to `format` do to `values`."""
    return sum(fixed_error(x, _rounded(x, format), format, power) for x in _chunks(values))


def fixed_error(values, integers, format, power=1):
    """sum |x - q 2**-fl|**power for integers q of `format`, held in floats; they are overwritten.

    In units of the format's least significant bit nothing but the difference itself can be rounded.
    """
    integers -= times_power_of_two(values, format.fl)
    return math.ldexp(total_error(integers, power), -power * format.fl)


def _rounded(values, format):
    integers = times_power_of_two(values, format.fl)
    np.rint(integers, out=integers)
    return np.clip(integers, format.min, format.max, out=integers)


def saturation_error(values, format, power=1):
    """The part of sum |x - y|**power that no y of `format` avoids, because x is out of its range.

    It grows with fl, unlike the rounding error, which makes it a bound for all larger fl.
    """
    low, high = format.min * format.scale, format.max * format.scale
    return sum(total_error(x - np.clip(x, low, high), power) for x in _chunks(values))


def error_bound(values, format, start, power=1):
    """The bound that `search` needs for scores sum |x - y|**power, y being any values of `format`.

    Above `start`, the saturation error. Below it nothing saturates and each grid is a part of the next
    finer one, so the distance to the nearest point of the grid never falls with fl.
    """
    if format.fl > start:
        return saturation_error(values, format, power)
    return quantization_error(values, format, power)


def _chunks(values):
    """The values as flat pieces that stay in the cache."""
    flat = values.reshape(-1)
    return (flat[start : start + CHUNK_VALUES] for start in range(0, flat.size, CHUNK_VALUES))
