"""Step output-error: a weight error counts as much as it changes the layer's output.

With E = W_q - W the error of one output channel's weights [K] and H = E[x x'] the second moments of the
quantized input, the mean squared error at that output is e' H e. The weights' own squared error is the
special case H = 1. Arrays have the axes [groups G, rows R, columns K]: see `tuner/moments.py`.
"""

import numpy as np

from quantflow.arithmetic import largest_fl, saturate

BELOW, ABOVE = 1, 6  # candidates around the largest fl that does not overflow: above it, weights saturate


def scaled(weight, weight_fl):
    """Weights [G, R, K] in units of their own least significant bit: the grid is then the integers."""
    return np.ldexp(weight, weight_fl[..., None])


def nearest(weight, weight_fl, bits):
    """Each weight rounded by itself: float64 [G, R, K] of integers."""
    return saturate(np.rint(scaled(weight, weight_fl)), bits)


def output_error(weight, rounded, weight_fl, second):
    """e' H e of each output channel: float64 [G, R]; `rounded` are integers [G, R, K] at `weight_fl` [G, R]."""
    error = scaled(rounded, -weight_fl) - weight
    return np.maximum(((error @ second) * error).sum(axis=-1), 0)


def least_output_error_fl(weight, second, bits, per_channel):
    """argmin over fl of the output error of nearest rounding: int32 [G, R], each channel's or the layer's."""
    start = starting_fl(weight, bits, per_channel)
    candidates = [start + offset for offset in range(-BELOW, ABOVE + 1)]
    errors = [output_error(weight, nearest(weight, fl, bits), fl, second) for fl in candidates]
    return best(candidates, errors, per_channel)[0]


def starting_fl(weight, bits, per_channel):
    """The largest fl at which no weight overflows: int32 [G, R]."""
    if per_channel:
        low, high = weight.min(axis=-1), weight.max(axis=-1)
        return np.vectorize(lambda a, b: largest_fl(a, b, bits), otypes=[np.int32])(low, high)
    return np.full(weight.shape[:2], largest_fl(weight.min(), weight.max(), bits), dtype=np.int32)


def best(candidates, errors, per_channel):
    """The fl [G, R] with the least error and its candidate's index [G, R]; the earlier among equals.

    `candidates` are lists of fl [G, R], `errors` their errors [G, R]; without `per_channel` one candidate is
    chosen for all channels together.
    """
    errors = np.stack(errors)
    if not per_channel:
        errors = np.broadcast_to(errors.sum(axis=(1, 2), keepdims=True), errors.shape)
    index = errors.argmin(axis=0)
    return np.take_along_axis(np.stack(candidates), index[None], axis=0)[0].astype(np.int32), index
