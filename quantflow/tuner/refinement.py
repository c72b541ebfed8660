"""Step refinement: each integer in turn takes the value that is best beside all the others.

Coordinate descent on the output error e' H e over the integers of the format (as in QuantEase, Behdin et al.,
2023): with the others fixed the error is a parabola in one integer, so its best value is the rounded and
saturated minimum. The error never rises, and the pass after which nothing changed ends it.
"""

import numpy as np

from quantflow.arithmetic import saturate
from quantflow.tuner.output_error import scaled

PASSES = 20  # at most
BLOCK = 64  # columns whose effect on all others is applied in one multiplication


def refine(weight, rounded, weight_fl, second, bits):
    """Integers float64 [G, R, K] with an output error at most that of `rounded`, from weights [G, R, K]."""
    goal = scaled(weight, weight_fl).swapaxes(1, 2)
    integers = np.array(rounded.swapaxes(1, 2), order="C")  # [G, K, R]
    for _ in range(PASSES):
        # Half the error's slope in each integer, anew in each pass so that rounding cannot build up.
        slope = second @ (integers - goal)
        if not _descend(integers, slope, second, bits):
            break
    return integers.swapaxes(1, 2)


def _descend(integers, slope, second, bits):
    """One pass over the columns, in place; whether any integer changed."""
    changed, width = False, integers.shape[1]
    diagonal = np.diagonal(second, axis1=1, axis2=2)
    curvature = np.where(diagonal > 0, diagonal, np.inf)[..., None]  # an input that is never set changes nothing
    for start in range(0, width, BLOCK):
        block = slice(start, min(start + BLOCK, width))
        local, inner = slope[:, block].copy(), second[:, block, block]
        before = integers[:, block].copy()
        for i in range(before.shape[1]):
            column = integers[:, start + i]
            value = saturate(np.rint(column - local[:, i] / curvature[:, start + i]), bits)
            step = value - column
            if step.any():
                integers[:, start + i] = value
                local += inner[:, i, :, None] * step[:, None]
                changed = True
        slope += second[:, :, block] @ (integers[:, block] - before)
    return changed
