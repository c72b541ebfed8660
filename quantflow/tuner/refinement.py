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
    """Integers float64 [O, K] with an output error at most that of `rounded`, from weights [O, K]."""
    goal = scaled(weight, weight_fl).T
    integers = np.array(rounded.T, order="C")  # [K, O]
    used = np.flatnonzero(np.diag(second) > 0)
    for _ in range(PASSES):
        # Half the error's slope in each integer, anew in each pass so that rounding cannot build up.
        slope = second @ (integers - goal)
        if not _descend(integers, slope, second, used, bits):
            break
    return integers.T


def _descend(integers, slope, second, used, bits):
    """One pass over the columns in `used`, in place; whether any integer changed."""
    changed = False
    for block in np.split(used, range(BLOCK, len(used), BLOCK)):
        local, steps = slope[block], np.zeros((len(block), integers.shape[1]))
        inner = second[np.ix_(block, block)]
        for i, column in enumerate(block):
            value = saturate(np.rint(integers[column] - local[i] / inner[i, i]), bits)
            steps[i] = value - integers[column]
            if steps[i].any():
                integers[column] = value
                local += np.outer(inner[i], steps[i])
                changed = True
        slope += second[:, block] @ steps
    return changed
