"""Step compensation: rounding column by column, each error made up for by the columns still to come.

Optimal brain surgeon for rounding, in the form of GPTQ (Frantar et al., ICLR 2023): with U the upper Cholesky
factor of inv(H), rounding column j with error e_j changes the later columns by -e_j U[j, k] / U[j, j], which
is what minimises the error at the output, e' H e, while they are still free. Columns are taken in the order
of falling H[j, j]; H is damped so that it can be inverted.
"""

import numpy as np

from quantflow.arithmetic import saturate
from quantflow.tuner.output_error import best, nearest, output_error, scaled

DAMPING = 0.01  # of the mean of H's diagonal, added to it
BLOCK = 64  # columns whose effect on all later ones is applied in one multiplication
OFFSETS = (0, 1, -1)  # fractional lengths tried around the one given


def compensate(weight, weight_fl, second, bits, per_channel):
    """Integers float64 [O, K] and their fl int32 [O], from weights [O, K] and their fl by nearest rounding.

    The fl is refitted: its neighbours are rounded with compensation too, and the one with the least output
    error is kept. A channel for which nearest rounding is better keeps that.
    """
    order, factor = elimination(second)
    candidates, rounded, errors = [], [], []
    for offset in OFFSETS:
        fl = weight_fl + offset
        plain = nearest(weight, fl, bits)
        integers = np.empty_like(plain)
        integers[:, order] = _sweep(scaled(weight, fl)[:, order], factor, bits)
        error, plain_error = output_error(weight, integers, fl, second), output_error(weight, plain, fl, second)
        candidates.append(fl)
        rounded.append(np.where((error <= plain_error)[:, None], integers, plain))
        errors.append(np.minimum(error, plain_error))
    fl, index = best(candidates, errors, per_channel)
    return np.stack(rounded)[index, np.arange(len(index))], fl


def elimination(second):
    """The order of the columns, and the upper Cholesky factor U of the inverse: inv(H) = U' U."""
    damping = DAMPING * np.mean(np.diag(second))
    order = np.argsort(-np.diag(second), kind="stable")
    # Where no input is ever set H is zero, and any order with the identity rounds to nearest.
    damped = second[np.ix_(order, order)] + (damping if damping > 0 else 1.0) * np.eye(len(second))
    return order, np.linalg.cholesky(np.linalg.inv(damped)).T


def _sweep(columns, factor, bits):
    rest = np.ascontiguousarray(columns.T)  # [K, O]: a column of weights is a row in memory
    rounded = np.empty_like(rest)
    for start in range(0, len(rest), BLOCK):
        stop = min(start + BLOCK, len(rest))
        errors = np.empty_like(rest[start:stop])
        for j in range(start, stop):
            rounded[j] = saturate(np.rint(rest[j]), bits)
            errors[j - start] = (rest[j] - rounded[j]) / factor[j, j]
            rest[j + 1 : stop] -= np.outer(factor[j, j + 1 : stop], errors[j - start])
        rest[stop:] -= factor[start:stop, stop:].T @ errors
    return rounded.T
