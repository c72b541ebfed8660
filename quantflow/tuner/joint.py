"""Step joint: maps' fractional lengths refined together, by the error of the network's own output.

The greedy pass chooses each map's fl by the error of that map. Here each in turn moves to a neighbouring fl if
that lowers sum (y_float - y_fixed)^2 of the network's output on some calibration images; weights stay, biases
move with their accumulators.
"""

from dataclasses import replace

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, accumulator_fl, output_fl_range, sum_bits
from quantflow.arithmetic import dequantize
from quantflow.integer_engine import run
from quantflow.quantized import MOVING, formatted_maps
from quantflow.tuner.weights import quantize_bias

IMAGES = 64  # that the output's error is measured on
LEAST_GAIN = 1e-3  # of the error: smaller gains are taken for chance


def refine_together(tuned, calibration, y_float):
    """The QuantizedNetwork with fractional lengths refined; `y_float` is the float output for `calibration`."""
    calibration, y_float = calibration[:IMAGES], y_float[:IMAGES]
    network = tuned.network
    least = output_error(tuned, calibration, y_float)
    for name in (name for name in formatted_maps(network) if name not in network.formats):
        fl = tuned.output_format(name).fl
        for neighbour in (moved(tuned, name, fl + 1), moved(tuned, name, fl - 1)):
            error = np.inf if neighbour is None else output_error(neighbour, calibration, y_float)
            if error < least * (1 - LEAST_GAIN):
                tuned, least = neighbour, error
    return tuned


def output_error(tuned, images, y_float):
    """sum (y_float - y_fixed)^2 of the network's output."""
    last = tuned.network.layers[-1].name
    y = dequantize(run(tuned, images, keep=False)[last], tuned.output_format(last))
    return float(np.square(y_float - y).sum(dtype=np.float64))


def moved(tuned, name, fl):
    """The network with map `name` at another fl, all biases following; None where that is not legal."""
    layers, formats, network = dict(tuned.layers), dict(tuned.formats), tuned.network
    before = {each: accumulator_fl(tuned, network[each]) for each in layers}
    result = replace(tuned, layers=layers, formats=formats)
    output = replace(tuned.output_format(name), fl=fl)
    if name == network.input_name:
        result = replace(result, input=output)
    elif name in layers:
        layers[name] = replace(layers[name], output=output)
    else:
        formats[name] = output
    for each, entry in list(layers.items()):
        sums = accumulator_fl(result, network[each])
        bias = quantize_bias(np.ldexp(entry.bias.astype(np.float64), -before[each]), sums).astype(np.int64)
        layers[each] = replace(entry, bias=bias)
    return result if _legal(result) else None


def _legal(tuned):
    """Whether all accumulators and shifts are within their bounds."""
    for layer in tuned.network.layers:
        if isinstance(layer, MOVING):
            continue
        lowest, highest = output_fl_range(accumulator_fl(tuned, layer))
        if not lowest <= tuned.output_format(layer.name).fl <= highest or sum_bits(tuned, layer) > MAX_ACCUMULATOR_BITS:
            return False
    return True
