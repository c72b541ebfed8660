"""From one layer's float weights to integers: the steps of the tuner's method, in their order."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np

from quantflow.threads import small_matrices
from quantflow.tuner import methods
from quantflow.tuner.bias_correction import corrected_bias
from quantflow.tuner.compensation import compensate
from quantflow.tuner.gains import NEAREST, StepNoise
from quantflow.tuner.least_squares import refit
from quantflow.tuner.moments import MAX_COLUMNS, columns, grouped, input_moments, is_small
from quantflow.tuner.objectives import ABSOLUTE
from quantflow.tuner.output_error import least_output_error_fl, nearest
from quantflow.tuner.refinement import refine
from quantflow.tuner.weights import fl_per_channel, fl_per_layer, limited_fl, quantize_weights

ON_MOMENTS = (methods.LEAST_SQUARES, methods.OUTPUT_ERROR, methods.COMPENSATION, methods.REFINEMENT)


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundedWeights:
    """One layer's weights as integers, and the bias that goes with them, not yet rounded."""

    weight: np.ndarray = field(repr=False)  # int32, shaped like the float weight
    weight_fl: np.ndarray  # int32 [O]
    bias: np.ndarray = field(repr=False)  # float [O]


def round_weights(layer, sources, formats, bits, method, gains=None):
    """The RoundedWeights of a Convolution or Dense by `method`, a `methods.Method`.

    `sources` are the maps of its inputs on the calibration set (`exact` and `fixed`, [N, C, H, W]) and
    `formats` their Formats; they are read only by steps that need them. A layer with more than
    `moments.MAX_COLUMNS` inputs to an output takes no step that needs second moments. `gains`, a dict, is filled
    with what noise each step leaves: see `gains.StepNoise`.
    """
    one_thread = small_matrices if is_small(layer) else nullcontext
    note = _unnoted
    if gains is not None:
        with one_thread():
            note = StepNoise(layer, sources, formats, gains)
            _note_nearest(note, layer, formats, bits, method)
    if set(method.steps) & set(ON_MOMENTS) and columns(layer) <= MAX_COLUMNS:
        moments = input_moments(layer, sources, formats)
        with one_thread():
            weight, weight_fl = _round_on_moments(layer, moments, formats, bits, method, note)
    else:
        weight_fl = _own_fl(layer.weight, layer, formats, bits, method)
        weight = quantize_weights(layer.weight, bits, weight_fl)
    bias = layer.bias
    if method.has(methods.BIAS_CORRECTION):
        bias = corrected_bias(layer, weight, weight_fl, sources, formats)
    return RoundedWeights(weight=weight, weight_fl=weight_fl, bias=bias)


def _round_on_moments(layer, moments, formats, bits, method, note):
    """Integers and fl of one layer by the steps that need second moments."""
    if method.has(methods.BIAS_CORRECTION):
        moments = moments.about_mean()
    second, weight = moments.second, grouped(layer, layer.weight)
    if method.has(methods.LEAST_SQUARES):
        weight = refit(weight, moments)
        if note is not _unnoted:
            weight_fl = grouped(layer, _own_fl(weight.reshape(len(layer.weight), -1), layer, formats, bits, method))
            note(methods.LEAST_SQUARES, nearest(weight, weight_fl, bits), weight_fl)
    flat = weight.reshape(len(layer.weight), -1)
    if method.has(methods.OUTPUT_ERROR):
        weight_fl = least_output_error_fl(weight, second, bits, method.per_channel).reshape(-1)
        weight_fl = _limited(weight_fl, flat, layer, formats, bits, method)
    else:
        weight_fl = _own_fl(flat, layer, formats, bits, method)
    weight_fl = grouped(layer, weight_fl)
    rounded = nearest(weight, weight_fl, bits)
    if method.has(methods.OUTPUT_ERROR):
        note(methods.OUTPUT_ERROR, rounded, weight_fl)
    if method.has(methods.COMPENSATION):
        rounded, weight_fl = compensate(weight, weight_fl, second, bits, method.per_channel)
        note(methods.COMPENSATION, rounded, weight_fl)
    if method.has(methods.REFINEMENT):
        rounded = refine(weight, rounded, weight_fl, second, bits)
        note(methods.REFINEMENT, rounded, weight_fl)
    return rounded.astype(np.int32).reshape(layer.weight.shape), weight_fl.reshape(-1)


def _unnoted(step, integers, weight_fl):
    """In place of a `gains.StepNoise` where nobody asks."""


def _note_nearest(note, layer, formats, bits, method):
    """What rounding to nearest leaves, then the steps that need no second moments."""
    without = replace(method, weights=ABSOLUTE) if method.has(methods.SQUARED_ERROR) else method
    taken = [step for step in (methods.SQUARED_ERROR, methods.BIAS_CORRECTION) if method.has(step)]
    for step in (NEAREST, *taken):
        weight_fl = _own_fl(layer.weight, layer, formats, bits, without if step == NEAREST else method)
        note(step, quantize_weights(layer.weight, bits, weight_fl), weight_fl)


def _own_fl(weight, layer, formats, bits, method):
    """Fractional lengths by the weights' own error: int32 [O]."""
    if not method.per_channel:
        return fl_per_layer(weight, bits, method.weights)
    return _limited(fl_per_channel(weight, bits, method.weights), weight, layer, formats, bits, method)


def _limited(weight_fl, weight, layer, formats, bits, method):
    """Fractional lengths [O] within the limits that accumulator and bias set, per channel."""
    if not method.per_channel:
        return weight_fl
    layer_fl = int(fl_per_layer(weight, bits, method.weights)[0])
    return limited_fl(weight_fl, layer_fl, weight, layer.bias, formats[0].fl)
