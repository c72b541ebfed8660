"""Phase two of the tuner: each layer's output, on the fixed-point network's own accumulators."""

from dataclasses import replace

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, MAX_LEFT_SHIFT, accumulator_fl, requantize, sum_bits
from quantflow.arithmetic import Format
from quantflow.tuner.objectives import ABSOLUTE, MAPS_ABOVE, POWER
from quantflow.tuner.search import best_fl, error_bound, fixed_error


def choose_output(tuned, layer, y_float, accumulators, slices, objective=ABSOLUTE):
    """argmin over fl of sum |y_float - y(bits, fl)| (Qiu et al., section 5.2), as a Format.

    `objective` is one of `tuner.objectives`: the absolute error above, in the neighbourhood of the largest legal fl
    at which no float output overflows; the squared one; or MAXIMUM, by which that largest fl is taken.

    `y_float` is the float network's output, `accumulators` the fixed-point network's exact sums, both
    [N, O, H, W]; candidates differ in the last shift only. `slices`, a Stream, cut N into batches. The search starts
    at the output format that the layer has in `tuned`.
    """
    start = tuned.output_format(layer.name)
    lowest, highest = fl_range(tuned, layer)
    start = replace(start, fl=min(max(start.fl, lowest), highest))

    def score(fl):
        format = replace(start, fl=fl)

        def error(s):
            fixed = requantize(tuned, layer, accumulators[s], format)
            return fixed_error(y_float[s], fixed, format, POWER[objective])

        return sum(slices.map(error))

    def bound(fl):
        format = replace(start, fl=fl)
        return sum(slices.map(lambda s: error_bound(y_float[s], format, start.fl, POWER[objective])))

    return replace(start, fl=best_fl(objective, start.fl, score, bound, MAPS_ABOVE, lowest, highest))


def fl_range(tuned, layer):
    """The least and greatest fl of the output for which every channel's shift is legal.

    A shift is at least 0 for the channel with the finest accumulator: a finer grid gains nothing. Others may be
    shifted left by MAX_LEFT_SHIFT. It is below the accumulator's width: a shift by all its bits leaves nothing.
    """
    fl = np.atleast_1d(accumulator_fl(tuned, layer))
    widest_shift = min(sum_bits(tuned, layer), MAX_ACCUMULATOR_BITS) - 1
    return int(fl.max()) - widest_shift, min(int(fl.max()), int(fl.min()) + MAX_LEFT_SHIFT)


def with_output(tuned, layer, output: Format):
    """The tuned network with the layer's output format."""
    if layer.name not in tuned.layers:
        return replace(tuned, formats={**tuned.formats, layer.name: output})
    return replace(tuned, layers={**tuned.layers, layer.name: replace(tuned.layers[layer.name], output=output)})
