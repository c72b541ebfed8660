"""A layer's exact sums: what the integer engine and the tuner share.

Every layer that chooses a format makes accumulators first, integers at the accumulator's fractional length,
and requantizes them last:

    Convolution, Dense  sum(x_q * w_q) + bias_q [+ residual]     input fl + weight fl[o], or the residual's if greater
    Add                 a_q + b_q, the coarser one shifted left  the greater of both fl
    Concat              x_q, shifted left                        the greatest fl of the inputs
    Activation          x_q << f where x_q >= 0, x_q * slope_q elsewhere, f being the slopes' fl
    AveragePool         sum(x_q), then one division              input fl + g, g = floor(log2(taps))

A mean is sum(x_q) / (taps / 2**g) at the accumulator's fl: for 4, 16 or 64 taps it is the sum itself.

Integers are held in floats, so that sums of products go through BLAS. That is exact as long as every partial
sum is an integer that the type holds: up to 2**24 in float32, 2**53 in float64. Whether a layer qualifies is
proved from its weights, so the result does not depend on the order BLAS sums in.
"""

import math

import numpy as np

from quantflow.arithmetic import Format, largest_fl, quantize, round_half_even_shift, signed_bits
from quantflow.correlation import correlate, tap_count, tap_sums
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, Rectified

MAX_ACCUMULATOR_BITS = 48  # the widest accumulator that a machine may have
EXACT_FLOAT32 = 1 << 24  # float32 holds every integer up to this magnitude
EXACT_FLOAT64 = 1 << 53  # float64 likewise
MAX_LEFT_SHIFT = 7  # of a channel whose accumulator is coarser than the output's format
SLOPE_BITS = 8  # of an Activation's slopes


def accumulate(quantized, layer, *maps):
    """The layer's accumulators [N, C, H, W], integers held in float32 or float64.

    `maps` are the integers of its inputs [N, C, H, W], of any type that holds them. Raises ValueError where
    even float64 cannot be proved exact.
    """
    dtype = accumulator_type(quantized, layer)
    return _ACCUMULATE[type(layer)](quantized, layer, *(x.astype(dtype, copy=False) for x in maps))


def accumulator_type(quantized, layer):
    """float32 or float64: the narrower one that is proved exact. Raises ValueError where neither is."""
    bits = sum_bits(quantized, layer)
    if 1 << (bits - 1) > EXACT_FLOAT64:
        raise ValueError(f"layer {layer.name} sums in {bits} bits, where float64 holds integers of 54")
    return np.dtype(np.float32 if 1 << (bits - 1) <= EXACT_FLOAT32 else np.float64)


def accumulator_fl(quantized, layer):
    """Fractional length of the layer's accumulators: int32, one number or one for each channel [O]."""
    formats = [quantized.output_format(name) for name in layer.inputs]
    if isinstance(layer, Convolution | Dense):
        return sums_fl(quantized.layers[layer.name].weight_fl, *formats)
    if isinstance(layer, AveragePool):
        return np.int32(formats[0].fl + _guard_bits(layer))
    if isinstance(layer, Activation):
        return np.int32(formats[0].fl + slope_format(layer).fl)
    return np.int32(max(format.fl for format in formats))


def sums_fl(weight_fl, input_format, residual=None):
    """Fractional lengths [O] of a weighted layer's sums: its products', or its residual's where that is finer."""
    fl = input_format.fl + weight_fl
    return (fl if residual is None else np.maximum(fl, residual.fl)).astype(np.int32)


def output_fl_range(fl):
    """The least and the greatest fl of an output whose accumulators lie at `fl`, a number or one for each channel.

    No channel is shifted right by the accumulator's whole width, nor left by more than MAX_LEFT_SHIFT.
    """
    return int(np.max(fl)) - MAX_ACCUMULATOR_BITS + 1, int(np.min(fl)) + MAX_LEFT_SHIFT


def requantize(quantized, layer, accumulators, format):
    """The layer's output integers, held as `accumulators` are: rounded once, then clipped.

    y = clip(round_half_even(acc / (divisor * 2**shift))), shift being the accumulator's fl less the output's;
    the range is that of `format` and of the layer's own activation, whose bounds are rounded to `format`.
    """
    shift = np.reshape(accumulator_fl(quantized, layer) - format.fl, (-1, 1, 1))
    divisor = _divisor(layer)
    if np.all(divisor == 1):
        y = round_half_even_shift(accumulators, shift)
    else:
        # Two integers' quotient in float64 is a tie only where the exact one is.
        y = np.rint(accumulators.astype(np.float64) / np.ldexp(np.float64(divisor), shift))
    return np.clip(y, *output_range(layer, format), out=y)


def output_range(layer, format):
    """The least and the greatest integer that the layer's activation lets through: numbers, or arrays [C, 1, 1]."""
    low, high = format.min, format.max
    if isinstance(layer, Rectified) and layer.relu:
        low = max(low, 0)
    maximum = getattr(layer, "maximum", None)
    if maximum is None:
        return low, high
    if np.ndim(maximum):
        return low, quantize(np.reshape(maximum, (-1, 1, 1)), format)
    return low, int(quantize(maximum, format))  # clipping to a number is several times as fast


def slope_format(layer):
    """The Format of an Activation's slopes: the finest in which the largest of them does not overflow."""
    fl = largest_fl(min(0, layer.slope.min()), max(0, layer.slope.max()), SLOPE_BITS)
    return Format(bits=SLOPE_BITS, fl=min(max(fl, 0), 2 * SLOPE_BITS))


def accumulator_bits(quantized_layer, input_format, residual=None):
    """Width of an accumulator that no input can overflow, from the layer's real weights and biases.

    Per output channel the worst cases are high = sum over w > 0 of w * max(x) + sum over w < 0 of
    w * min(x), and low with max and min exchanged, each with the residual's, whose Format is `residual`.
    As x may be 0, every partial sum in any order lies in [low, high], since each further product widens the
    interval; the bias alone, and the sums with the bias added first or last, are covered too.
    """
    positive, negative = quantized_layer.weight_sums
    high = positive * input_format.max + negative * input_format.min
    low = positive * input_format.min + negative * input_format.max
    if residual is not None:
        left = input_format.fl + quantized_layer.weight_fl - residual.fl  # of the residual, or of the products
        products, unit = np.ldexp(1.0, np.maximum(-left, 0)), np.ldexp(1.0, np.maximum(left, 0))
        high, low = high * products + residual.max * unit, low * products + residual.min * unit
    high, low = high + np.maximum(quantized_layer.bias, 0), low + np.minimum(quantized_layer.bias, 0)
    return signed_bits(min(int(low.min()), 0), max(int(high.max()), 0))


def sum_bits(quantized, layer):
    """Width of a two's-complement accumulator that no input of the layer can overflow."""
    formats = [quantized.output_format(name) for name in layer.inputs]
    if isinstance(layer, Convolution | Dense):
        return accumulator_bits(quantized.layers[layer.name], *formats)
    fl = int(accumulator_fl(quantized, layer))
    bounds = [(format.min << (fl - format.fl), format.max << (fl - format.fl)) for format in formats]
    if isinstance(layer, AveragePool):
        taps = math.prod(layer.window.kernel)
        bounds = [(formats[0].min * taps, formats[0].max * taps)]
    if isinstance(layer, Activation):
        slopes = quantize(layer.slope, slope_format(layer)).astype(np.int64)
        bounds.append((int((slopes * formats[0].min).min()), int((slopes * formats[0].min).max())))
    lows, highs = zip(*bounds, strict=True)
    if isinstance(layer, Add):
        return signed_bits(sum(lows), sum(highs))
    return signed_bits(min(lows), max(highs))


def _weighted(quantized, layer, x, residual=None):
    integers = quantized.layers[layer.name]
    if isinstance(layer, Dense):
        weight = integers.weight.astype(x.dtype)
        sums = (x.reshape(len(x), -1) @ weight.T)[:, :, None, None]
    else:
        sums = correlate(x, integers.weight, layer.window, layer.groups)
    if residual is not None:
        fl = accumulator_fl(quantized, layer)[:, None, None]
        input_fl, residual_fl = (quantized.output_format(name).fl for name in layer.inputs)
        sums = _shifted_left(sums, fl - input_fl - integers.weight_fl[:, None, None])
        sums += _shifted_left(residual, fl - residual_fl)
    sums += integers.bias.astype(x.dtype)[:, None, None]
    return sums


def _add(quantized, layer, a, b):
    return np.add(*_aligned(quantized, layer, a, b))


def _concat(quantized, layer, *maps):
    return np.concatenate(_aligned(quantized, layer, *maps), axis=1)


def _aligned(quantized, layer, *maps):
    """The maps at the accumulator's fractional length."""
    fl = accumulator_fl(quantized, layer)
    formats = (quantized.output_format(name) for name in layer.inputs)
    return [_shifted_left(x, fl - format.fl) for x, format in zip(maps, formats, strict=True)]


def _shifted_left(x, shift):
    return x * np.ldexp(x.dtype.type(1), shift) if np.any(shift) else x


def _average(quantized, layer, x):
    return tap_sums(layer, x)


def _activation(quantized, layer, x):
    format = slope_format(layer)
    slopes = quantize(layer.slope, format).astype(x.dtype)
    return x * np.where(x < 0, slopes[:, None, None], x.dtype.type(2.0**format.fl))


def _guard_bits(layer):
    return int(np.max(tap_count(layer))).bit_length() - 1


def _divisor(layer):
    """What an average's accumulators are still to be divided by: a number, or [OH, OW]; 1 for other layers."""
    return tap_count(layer) / 2 ** _guard_bits(layer) if isinstance(layer, AveragePool) else 1


_ACCUMULATE = {
    Activation: _activation,
    Add: _add,
    AveragePool: _average,
    Concat: _concat,
    Convolution: _weighted,
    Dense: _weighted,
}
