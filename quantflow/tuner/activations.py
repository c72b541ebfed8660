"""Phase two of the tuner: each layer's output, on the fixed-point network's own accumulators."""

from dataclasses import replace

import numpy as np

from quantflow.arithmetic import Format, dequantize
from quantflow.integer_engine import accumulator_bits, requantize
from quantflow.tuner.objectives import ABSOLUTE, MAXIMUM, POWER
from quantflow.tuner.search import error_bound, largest_fl, search, total_error


def largest_output(y_float, bits):
    """The output format with the largest fl at which no float output [N, O, H, W] overflows."""
    return Format(bits=bits, fl=largest_fl(y_float.min(), y_float.max(), bits))


def choose_output(layer, quantized_layer, input_format, y_float, accumulators, slices, objective=ABSOLUTE):
    """argmin over fl of sum |y_float - y(bits, fl)| (Qiu et al., section 5.2), as a Format.

    `objective` is one of `tuner.objectives`: the absolute error above, the squared one, or MAXIMUM, by
    which the largest legal fl is taken at which no float output overflows.

    `y_float` is the float network's output after ReLU, `accumulators` the fixed-point network's exact
    sums, both [N, O, H, W]; candidates differ in the last shift only. `slices` cut N into batches. The
    search starts at `quantized_layer.output`.
    """
    accumulator_fl = input_format.fl + quantized_layer.weight_fl
    lowest, highest = fl_range(quantized_layer, input_format)
    bits = quantized_layer.output.bits

    def score(fl):
        format, error = Format(bits=bits, fl=fl), 0.0
        for s in slices:
            fixed = requantize(accumulators[s], accumulator_fl - fl, layer.relu, bits)
            error += total_error(y_float[s], dequantize(fixed, format), POWER[objective])
        return error

    start = min(max(quantized_layer.output.fl, lowest), highest)
    if objective == MAXIMUM:
        return Format(bits=bits, fl=start)
    best = search(
        start,
        score=score,
        bound=lambda fl: error_bound(y_float, Format(bits=bits, fl=fl), start, POWER[objective]),
        lowest=lowest,
        highest=highest,
    )
    return Format(bits=bits, fl=best)


def fl_range(quantized_layer, input_format):
    """The least and greatest fl of the output for which every channel's shift is legal.

    A shift is at least 0: a finer grid than the accumulator's gains nothing. It is below the
    accumulator's width: a shift by all its bits leaves nothing.
    """
    accumulator_fl = input_format.fl + quantized_layer.weight_fl
    widest_shift = accumulator_bits(quantized_layer, input_format) - 1
    return int(accumulator_fl.max()) - widest_shift, int(accumulator_fl.min())


def with_output(quantized_layer, input_format, output):
    """The layer with its output format, and the shifts `input fl + weight fl - output fl` that follow."""
    shift = input_format.fl + quantized_layer.weight_fl - output.fl
    return replace(quantized_layer, output=output, shift=shift.astype(np.int32))
