"""Phase one of the tuner: each layer's weights, from the weights alone."""

import numpy as np

from quantflow.arithmetic import Format, largest_fl, quantize
from quantflow.tuner.objectives import ABSOLUTE, POWER, WEIGHTS_ABOVE
from quantflow.tuner.search import best_fl, error_bound, quantization_error

CHANNEL_SPAN = 8  # a channel's fl is at most this far above its layer's: finer grids only widen the accumulator
BIAS_BITS = 24  # a channel's fl is not raised above its layer's where its bias would need more than this


def least_error_fl(values, bits, objective=ABSOLUTE, signed=True, above=WEIGHTS_ABOVE):
    """argmin over fl of sum |W - W(bits, fl)| for a float array of any shape (Qiu et al., section 5.2).

    `objective` is one of `tuner.objectives`: the absolute error above, in the neighbourhood of the largest fl at
    which nothing overflows, to `above` above it; the squared one; or MAXIMUM, which takes that largest fl. Used for
    a layer's weights, for one channel's, and for the network's input on the calibration images.
    """
    start = largest_fl(values.min(), values.max(), bits, signed)
    return best_fl(
        objective,
        start,
        score=lambda fl: quantization_error(values, Format(bits=bits, fl=fl, signed=signed), POWER[objective]),
        bound=lambda fl: error_bound(values, Format(bits=bits, fl=fl, signed=signed), start, POWER[objective]),
        above=above,
    )


def fl_per_layer(weight, bits, objective=ABSOLUTE):
    """One fractional length for the whole layer, repeated for each output channel: int32 [O]."""
    return np.full(len(weight), least_error_fl(weight, bits, objective), dtype=np.int32)


def fl_per_channel(weight, bits, objective=ABSOLUTE):
    """Each output channel's own fractional length: int32 [O], still to be limited by `limited_fl`."""
    return np.array([least_error_fl(w, bits, objective) for w in weight], dtype=np.int32)


def limited_fl(weight_fl, layer_fl, weight, bias, input_fl):
    """Fractional lengths per channel [O] that keep the accumulator and its shifts within reason.

    `layer_fl` is what one fractional length for all channels would be. A channel without weights takes it;
    the others are at most CHANNEL_SPAN above it, and above it only as far as the channel's bias stays
    within BIAS_BITS at the accumulator's fractional length.
    """
    # |bias| < 2**exponent, so it needs `exponent + fl` bits and a sign.
    exponent = np.frexp(np.abs(bias.astype(np.float64)))[1]
    highest = np.maximum(layer_fl, np.minimum(layer_fl + CHANNEL_SPAN, BIAS_BITS - 1 - exponent - input_fl))
    used = weight.reshape(len(weight), -1).any(axis=1)
    return np.where(used, np.minimum(weight_fl, highest), layer_fl).astype(np.int32)


def quantize_weights(weight, bits, weight_fl):
    """Round each output channel to its own fractional length: float [O, ...] to int32 of that shape."""
    channels = [quantize(w, Format(bits=bits, fl=int(fl))) for w, fl in zip(weight, weight_fl, strict=True)]
    return np.stack(channels)


def quantize_bias(bias, accumulator_fl):
    """bias_q = round_half_even(bias * 2**fl_acc): float64 [O], still to be checked for its width.

    Biases have no format of their own: they lie at each channel's accumulator's fractional length [O].
    """
    return np.rint(np.ldexp(bias.astype(np.float64), accumulator_fl))
