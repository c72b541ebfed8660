"""Phase one of the tuner: each layer's weights, from the weights alone."""

import numpy as np

from quantflow.arithmetic import Format, quantize
from quantflow.tuner.search import error_bound, largest_fl, quantization_error, search


def least_error_fl(values, bits):
    """argmin over fl of sum |W - W(bits, fl)| for a float array of any shape (Qiu et al., section 5.2).

    Used for a layer's weights, and for the network's input on the calibration images.
    """
    start = largest_fl(values.min(), values.max(), bits)
    return search(
        start,
        score=lambda fl: quantization_error(values, Format(bits=bits, fl=fl)),
        bound=lambda fl: error_bound(values, Format(bits=bits, fl=fl), start),
    )


def fl_per_layer(weight, bits):
    """One fractional length for the whole layer, repeated for each output channel: int32 [O]."""
    return np.full(len(weight), least_error_fl(weight, bits), dtype=np.int32)


def quantize_weights(weight, bits, weight_fl):
    """Round each output channel to its own fractional length: float [O, ...] to int32 of that shape."""
    channels = [quantize(w, Format(bits=bits, fl=int(fl))) for w, fl in zip(weight, weight_fl, strict=True)]
    return np.stack(channels)


def quantize_bias(bias, accumulator_fl):
    """bias_q = round_half_even(bias * 2**fl_acc): float64 [O], still to be checked for its width.

    Biases have no format of their own: they lie at each channel's accumulator's fractional length [O].
    """
    return np.rint(np.ldexp(bias.astype(np.float64), accumulator_fl))
