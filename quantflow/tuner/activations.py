"""Phase two of the tuner: each layer's output, on the fixed-point network's own accumulators."""

from dataclasses import replace

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, MAX_LEFT_SHIFT, accumulator_fl, requantize, sum_bits
from quantflow.arithmetic import Format, dequantize
from quantflow.tuner.objectives import ABSOLUTE, MAXIMUM, POWER
from quantflow.tuner.search import error_bound, search, total_error


def choose_output(tuned, layer, y_float, accumulators, slices, objective=ABSOLUTE):
    """argmin over fl of sum |y_float - y(bits, fl)| (Qiu et al., section 5.2), as a Format.

    `objective` is one of `tuner.objectives`: the absolute error above, the squared one, or MAXIMUM, by
    which the largest legal fl is taken at which no float output overflows.

    `y_float` is the float network's output, `accumulators` the fixed-point network's exact sums, both
    [N, O, H, W]; candidates differ in the last shift only. `slices` cut N into batches. The search starts
    at the output format that the layer has in `tuned`.
    """
    start = tuned.output_format(layer.name)
    lowest, highest = fl_range(tuned, layer)

    def score(fl):
        format, error = replace(start, fl=fl), 0.0
        for s in slices:
            fixed = requantize(tuned, layer, accumulators[s], format)
            error += total_error(y_float[s], dequantize(fixed, format), POWER[objective])
        return error

    start = replace(start, fl=min(max(start.fl, lowest), highest))
    if objective == MAXIMUM:
        return start
    best = search(
        start.fl,
        score=score,
        bound=lambda fl: error_bound(y_float, replace(start, fl=fl), start.fl, POWER[objective]),
        lowest=lowest,
        highest=highest,
    )
    return replace(start, fl=best)


def fl_range(tuned, layer):
    """The least and greatest fl of the output for which every channel's shift is legal.

    A shift is at least 0 for the channel with the finest accumulator: a finer grid gains nothing. Others may be
    shifted left by MAX_LEFT_SHIFT. It is below the accumulator's width: a shift by all its bits leaves nothing.
    """
    fl = np.atleast_1d(accumulator_fl(tuned, layer))
    widest_shift = min(sum_bits(tuned, layer), MAX_ACCUMULATOR_BITS) - 1
    return int(fl.max()) - widest_shift, min(int(fl.max()), int(fl.min()) + MAX_LEFT_SHIFT)


def with_output(tuned, layer, output: Format):
    """The tuned network with the layer's output format, and the shifts that follow from it."""
    if layer.name not in tuned.layers:
        return replace(tuned, formats={**tuned.formats, layer.name: output})
    shift = accumulator_fl(tuned, layer) - output.fl
    entry = replace(tuned.layers[layer.name], output=output, shift=shift.astype(np.int32))
    return replace(tuned, layers={**tuned.layers, layer.name: entry})
