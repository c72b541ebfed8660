"""One layer of the tuner's way through the network: its integers, its output's format, its maps."""

from dataclasses import dataclass, replace

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, accumulate, requantize, sum_bits, sums_fl
from quantflow.arithmetic import Format, largest_fl, quantize, signed_bits
from quantflow.errors import UserError
from quantflow.float_engine import apply
from quantflow.integer_engine import batches, run_layer, working_bytes
from quantflow.quantized import MOVING, WEIGHTED, QuantizedLayer
from quantflow.tuner.activations import choose_output, with_output
from quantflow.tuner.methods import Method
from quantflow.tuner.room import room
from quantflow.tuner.rounding import round_weights
from quantflow.tuner.weights import least_error_fl, quantize_bias


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """One layer's maps on the whole calibration set, both [N, C, H, W]."""

    exact: np.ndarray  # float32, of the float network
    fixed: np.ndarray  # of the fixed-point network, integers of their format's dtype


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is given for one layer: the method and the widths."""

    method: Method
    weight_bits: int
    activation_bits: int
    unsigned: bool  # an output without negative values may have an unsigned format


def input_format(calibration, choice):
    """The Format of the network's input, by the error that it makes on the calibration images."""
    bits, signed = choice.activation_bits, not (choice.unsigned and calibration.min() >= 0)
    fl = least_error_fl(calibration, bits, choice.method.activations, signed)
    return Format(bits=bits, fl=fl, signed=signed)


def input_maps(calibration, format):
    """The calibration images as float and as integers of `format`."""
    fixed = room(calibration.shape, format.dtype)
    for s in batches(len(calibration), 8 * 4 * calibration[0].size):
        fixed[s] = quantize(calibration[s], format)
    return Maps(exact=calibration, fixed=fixed)


def tune_layer(tuned, layer, sources, choice):
    """The tuned network with what is chosen for `layer`, and the layer's Maps, from the Maps of its inputs."""
    slices = batches(len(sources[0].exact), working_bytes(layer))
    exact = _float_maps(layer, sources, slices)
    if isinstance(layer, MOVING):
        fixed = room(exact.shape, tuned.output_format(layer.inputs[0]).dtype)
        for s in slices:
            fixed[s] = run_layer(tuned, layer, *(source.fixed[s] for source in sources))
        return tuned, Maps(exact=exact, fixed=fixed)
    start = _widest_output(exact, choice)
    if isinstance(layer, WEIGHTED):
        tuned = _with_weights(tuned, layer, sources, start, choice)
    else:
        tuned = replace(tuned, formats={**tuned.formats, layer.name: start})
    _check_accumulator(layer, sum_bits(tuned, layer))
    accumulators = _accumulators(tuned, layer, sources, slices)
    output = choose_output(tuned, layer, exact, accumulators, slices, choice.method.activations)
    tuned = with_output(tuned, layer, output)
    fixed = room(exact.shape, output.dtype)
    for s in slices:
        fixed[s] = requantize(tuned, layer, accumulators[s], output)
    return tuned, Maps(exact=exact, fixed=fixed)


def _with_weights(tuned, layer, sources, output, choice):
    """The tuned network with the integers of one layer, whose output format is still to be chosen."""
    formats = [tuned.output_format(name) for name in layer.inputs]
    rounded = round_weights(layer, sources, formats, choice.weight_bits, choice.method)
    bias = quantize_bias(rounded.bias, sums_fl(rounded.weight_fl, *formats))
    _check_accumulator(layer, signed_bits(int(bias.min()), int(bias.max())))
    entry = QuantizedLayer(
        name=layer.name,
        weight_bits=choice.weight_bits,
        weight=rounded.weight,
        weight_fl=rounded.weight_fl,
        bias=bias.astype(np.int64),
        shift=np.zeros(len(bias), dtype=np.int32),
        output=output,
    )
    return replace(tuned, layers={**tuned.layers, layer.name: entry})


def _widest_output(exact, choice):
    """The output format with the largest fl at which no float output [N, O, H, W] overflows."""
    low, high = exact.min(), exact.max()
    signed = not (choice.unsigned and low >= 0)
    bits = choice.activation_bits
    return Format(bits=bits, fl=largest_fl(low, high, bits, signed), signed=signed)


def _float_maps(layer, sources, slices):
    """The float network's output of one layer; UserError where it overflows."""
    y = room((len(sources[0].exact), *layer.output_shape), np.float32)
    for s in slices:
        y[s] = apply(layer, *(source.exact[s] for source in sources))
        if not np.isfinite(y[s]).all():
            raise UserError(f"layer {layer.name} gives infinite or undefined values on the calibration images")
    return y


def _accumulators(tuned, layer, sources, slices):
    """The fixed-point network's exact accumulators of one layer, [N, C, H, W]."""
    parts = ((s, accumulate(tuned, layer, *(source.fixed[s] for source in sources))) for s in slices)
    first, values = next(parts)
    accumulators = room((len(sources[0].fixed), *values.shape[1:]), values.dtype)
    accumulators[first] = values
    for s, values in parts:
        accumulators[s] = values
    return accumulators


def _check_accumulator(layer, bits):
    if bits > MAX_ACCUMULATOR_BITS:
        raise UserError(
            f"layer {layer.name} needs an accumulator of {bits} bits where at most {MAX_ACCUMULATOR_BITS} "
            "exist: choose fewer weight or activation bits, or look for biases far larger than its weights"
        )
