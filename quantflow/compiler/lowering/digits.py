"""Weights as digits of several passes, and how a residual's weights go with them."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from quantflow.arithmetic import signed_bits

MAX_PASSES = 7  # what the instruction's fields hold


def digits(values, passes, config):
    """Integers [...] as [passes, ...] digits in base 2**pass_shift, highest first; only the first has a sign."""
    found = []
    for _ in range(passes - 1):
        found.append(values & ((1 << config.pass_shift) - 1))
        values = values >> config.pass_shift
    return np.stack([values, *reversed(found)])


def value_bits(passes, config):
    """Width of the integers that so many digits hold."""
    return config.weight_bits + (passes - 1) * config.pass_shift


@dataclass(frozen=True, kw_only=True, eq=False)
class Scales:
    """How a layer's sums are computed: `left` [O] is how many bits higher than asked for each channel's lie."""

    passes: int
    left: np.ndarray
    residual_passes: int = 0
    aligned: bool = False
    unit: int = 0  # the residual's weights lie so many bits lower in their words


def channel_bits(weight):
    """Width of each output channel's widest weight [O, ...]; 0 where all are zero."""
    flat = weight.reshape(len(weight), -1)
    lows, highs = flat.min(axis=1, initial=0), flat.max(axis=1, initial=0)
    pairs = zip(lows.tolist(), highs.tolist(), strict=True)
    return np.array([signed_bits(low, high) if low or high else 0 for low, high in pairs])


def fit(bits, residual_bits, costs, config):
    """The cheapest Scales for channels whose weights have `bits` [O] and whose residual's weights have
    `residual_bits` [O], both 0 where there are none; None if there is no way.

    `costs` are the array steps of one pass, of the kernel and of the residual. Residual weights are powers of
    two 2**k, k = bits - 2. With p passes behind the residual's, its weight words count 2**(p * pass_shift),
    or one digit less where aligned, so each channel's sums are multiplied by 2**left with
    k + left at least that, and its own weights must have room for `left` bits more.
    """
    exponents = np.maximum(residual_bits - 2, 0)
    has_residual = residual_bits > 0
    if not has_residual.any():
        passes = _passes(bits.max(initial=0), config)
        return None if passes > MAX_PASSES else Scales(passes=passes, left=np.zeros(len(bits), np.int64))
    best, best_cost = None, None
    for passes, aligned in product(range(1, MAX_PASSES + 1), (False, True)):
        unit = (passes - aligned) * config.pass_shift
        left = np.where(has_residual, np.maximum(unit - exponents, 0), 0)
        if np.any((bits > 0) & (bits + left > value_bits(passes, config))):
            continue
        words = np.where(has_residual, exponents + left - unit + 2, 0)
        residual_passes = _passes(words.max(), config)
        cost = (passes * costs[0] + residual_passes * costs[1], int(left.max()))
        if residual_passes <= MAX_PASSES and (best is None or cost < best_cost):
            best_cost = cost
            best = Scales(passes=passes, left=left, residual_passes=residual_passes, aligned=aligned, unit=unit)
    return best


def _passes(bits, config):
    return max(1, -(-(int(bits) - 1) // config.pass_shift))
