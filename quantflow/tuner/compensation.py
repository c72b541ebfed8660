"""Step compensation: rounding column by column, each error made up for by the columns still to come.

Optimal brain surgeon for rounding, in the form of GPTQ (Frantar et al., ICLR 2023): with U the upper Cholesky
factor of inv(H), rounding column j with error e_j changes the later columns by -e_j U[j, k] / U[j, j], which
is what minimises the error at the output, e' H e, while they are still free. Columns are taken in the order
of falling H[j, j]; H is damped so that it can be inverted.
"""

import numpy as np

from quantflow.arithmetic import saturate
from quantflow.tuner.least_squares import damped
from quantflow.tuner.output_error import best, nearest, output_error, scaled

BLOCK = 64  # columns whose effect on all later ones is applied in one multiplication
OFFSETS = (0, 1, -1)  # fractional lengths tried around the one given


def compensate(weight, weight_fl, second, bits, per_channel):
    """Integers float64 [G, R, K] and their fl int32 [G, R], from weights and their fl by nearest rounding.

    The fl is refitted: its neighbours are rounded with compensation too, and the one with the least output
    error is kept. A channel for which nearest rounding is better keeps that.
    """
    order, factor = elimination(second)
    candidates, rounded, errors = [], [], []
    for offset in OFFSETS:
        fl = weight_fl + offset
        plain, integers = nearest(weight, fl, bits), np.empty_like(weight)
        sorted_columns = np.take_along_axis(scaled(weight, fl), order[:, None], axis=2)
        np.put_along_axis(integers, order[:, None], _sweep(sorted_columns, factor, bits), axis=2)
        error, plain_error = output_error(weight, integers, fl, second), output_error(weight, plain, fl, second)
        candidates.append(fl)
        rounded.append(np.where((error <= plain_error)[..., None], integers, plain))
        errors.append(np.minimum(error, plain_error))
    fl, index = best(candidates, errors, per_channel)
    return np.take_along_axis(np.stack(rounded), index[None, ..., None], axis=0)[0], fl


def elimination(second):
    """The order of the columns [G, K], and the upper Cholesky factor U of the inverse: inv(H) = U' U."""
    order = np.argsort(-np.diagonal(second, axis1=1, axis2=2), axis=1, kind="stable")
    ordered = np.take_along_axis(np.take_along_axis(second, order[:, :, None], 1), order[:, None, :], 2)
    return order, np.linalg.cholesky(np.linalg.inv(damped(ordered))).swapaxes(1, 2)


def _sweep(weight, factor, bits):
    rest = np.ascontiguousarray(weight.swapaxes(1, 2))  # [G, K, R]: a column of weights is a row in memory
    rounded, width = np.empty_like(rest), rest.shape[1]
    for start in range(0, width, BLOCK):
        stop = min(start + BLOCK, width)
        errors = np.empty_like(rest[:, start:stop])
        for j in range(start, stop):
            rounded[:, j] = saturate(np.rint(rest[:, j]), bits)
            error = errors[:, j - start] = (rest[:, j] - rounded[:, j]) / factor[:, j, j, None]
            rest[:, j + 1 : stop] -= factor[:, j, j + 1 : stop, None] * error[:, None]
        rest[:, stop:] -= factor[:, start:stop, stop:].swapaxes(1, 2) @ errors
    return rounded.swapaxes(1, 2)
