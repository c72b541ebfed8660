"""The fractional lengths that the paper's method looks at, by the numbers that docs/tuning.md gives."""

from quantflow.arithmetic import largest_fl

WEIGHTS, MAPS = 2, 3  # above the largest at which nothing overflows


def around(values, bits, above, *, signed=True, highest=99):
    """From 1 below the largest fl at which no value overflows to `above` above it, none of them above `highest`."""
    start = min(largest_fl(values.min(), values.max(), bits, signed), highest)
    return range(start - 1, min(start + above, highest) + 1)
