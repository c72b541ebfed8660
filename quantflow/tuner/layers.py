"""One layer of the tuner's way through the network: its integers, its output's format, its maps."""

from dataclasses import dataclass, replace

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, accumulate, accumulator_type, requantize, sum_bits, sums_fl
from quantflow.arithmetic import Format, largest_fl, quantize, signed_bits
from quantflow.errors import UserError
from quantflow.float_engine import apply
from quantflow.given import check_given_output, given_weight
from quantflow.graph import Activation, WeightFormat
from quantflow.integer_engine import batches, run_layer, working_bytes
from quantflow.quantized import MOVING, WEIGHTED, QuantizedLayer
from quantflow.tuner.activations import choose_output, with_output
from quantflow.tuner.methods import Method
from quantflow.tuner.objectives import MAPS_ABOVE
from quantflow.tuner.room import Stream
from quantflow.tuner.rounding import RoundedWeights, round_weights
from quantflow.tuner.weights import least_error_fl, quantize_bias


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """One layer's maps on the whole calibration set, both [N, C, H, W]."""

    exact: np.ndarray  # float32, of the float network
    fixed: np.ndarray  # of the fixed-point network, integers of their format's dtype


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is given for one layer, or for the network's input: the method, and widths or whole formats."""

    method: Method
    weight_bits: int
    activation_bits: int
    unsigned: bool  # an output that is never negative has an unsigned format
    output: Format | None = None  # the one that the model came with, which is kept
    weights: WeightFormat | None = None  # likewise; the weights are on its grid already


def input_format(calibration, choice):
    """The Format of the network's input: the given one, or by the error that it makes on the calibration images."""
    if choice.output is not None:
        return choice.output
    bits, signed = choice.activation_bits, not (choice.unsigned and calibration.min() >= 0)
    fl = least_error_fl(calibration, bits, choice.method.activations, signed, above=MAPS_ABOVE)
    return Format(bits=bits, fl=fl, signed=signed)


def input_maps(calibration, format, room):
    """The calibration images as float and as integers of `format`."""
    fixed = room.array(calibration.shape, format.dtype)

    def fill(s):
        fixed[s] = quantize(calibration[s], format)

    Stream(batches(len(calibration), 8 * 4 * calibration[0].size), fixed).map(fill)
    return Maps(exact=calibration, fixed=fixed)


def tune_layer(tuned, layer, sources, choice, room, gains=None):
    """The tuned network with what is chosen for `layer`, and the layer's Maps, from the Maps of its inputs.

    `choice` is what is given for the layer, `room` where maps are kept, `gains` a dict that is filled with what
    noise each step of the rounding leaves, or None. A layer that moves values only, or that `tuned` has an entry
    for already, has nothing to choose.
    """
    slices = batches(len(sources[0].exact), working_bytes(layer))
    exact, accumulators = _float_maps(layer, sources, slices, room), None
    if not (isinstance(layer, MOVING) or layer.name in tuned.layers or layer.name in tuned.formats):
        tuned, accumulators = _choose(tuned, layer, sources, exact, slices, choice, room, gains)
    format = tuned.output_format(layer.name)
    fixed = room.array(exact.shape, format.dtype)
    read = [source.fixed for source in sources] if accumulators is None else [accumulators]

    def fill(s):
        parts = (array[s] for array in read)
        whole = accumulators is None
        fixed[s] = run_layer(tuned, layer, *parts) if whole else requantize(tuned, layer, *parts, format)

    Stream(slices, fixed, *read).map(fill)
    return tuned, Maps(exact=exact, fixed=fixed)


def _choose(tuned, layer, sources, exact, slices, choice, room, gains):
    """The tuned network with the layer's integers and format, and its accumulators where the format was chosen."""
    output = choice.output or _widest_output(exact, slices, choice, _never_negative(tuned, layer))
    if isinstance(layer, WEIGHTED):
        tuned = _with_weights(tuned, layer, sources, output, choice, gains)
    else:
        tuned = replace(tuned, formats={**tuned.formats, layer.name: output})
    _check_accumulator(layer, sum_bits(tuned, layer))
    accumulators = None
    if choice.output is None:
        accumulators = _accumulators(tuned, layer, sources, slices, room)
        passes = Stream(slices, exact, accumulators)
        output = choose_output(tuned, layer, exact, accumulators, passes, choice.method.activations)
    tuned = with_output(tuned, layer, output)
    if choice.output is not None:
        check_given_output(tuned, layer)
    return tuned, accumulators


def _with_weights(tuned, layer, sources, output, choice, gains):
    """The tuned network with the integers of one layer, whose output format is still to be chosen."""
    formats = [tuned.output_format(name) for name in layer.inputs]
    if choice.weights is None:
        bits = choice.weight_bits
        rounded = round_weights(layer, sources, formats, bits, choice.method, gains)
    else:
        bits, fl = choice.weights.bits, np.asarray(choice.weights.fl, dtype=np.int32)
        rounded = RoundedWeights(weight=given_weight(layer, choice.weights), weight_fl=fl, bias=layer.bias)
    bias = quantize_bias(rounded.bias, sums_fl(rounded.weight_fl, *formats))
    _check_accumulator(layer, signed_bits(int(bias.min()), int(bias.max())))
    entry = QuantizedLayer(
        name=layer.name,
        weight_bits=bits,
        weight=rounded.weight,
        weight_fl=rounded.weight_fl,
        bias=bias.astype(np.int64),
        output=output,
    )
    return replace(tuned, layers={**tuned.layers, layer.name: entry})


def _widest_output(exact, slices, choice, never_negative):
    """The output format with the largest fl at which no float output [N, O, H, W] overflows."""
    ends = Stream(slices, exact).map(lambda s: (exact[s].min(), exact[s].max()))
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    signed = not (choice.unsigned and never_negative)
    bits = choice.activation_bits
    return Format(bits=bits, fl=largest_fl(low, high, bits, signed), signed=signed)


def _never_negative(tuned, layer):
    """Whether no image, calibrating or not, gives the layer's output a negative value."""
    if rectifies(layer):
        return True
    return not isinstance(layer, WEIGHTED) and not any(tuned.output_format(name).signed for name in layer.inputs)


def rectifies(layer):
    """Whether the layer's output has no negative value whatever it reads."""
    return getattr(layer, "relu", False) or (isinstance(layer, Activation) and bool((layer.slope <= 0).all()))


def _float_maps(layer, sources, slices, room):
    """The float network's output of one layer; UserError where it overflows."""
    y = room.array((len(sources[0].exact), *layer.output_shape), np.float32)

    def fill(s):
        y[s] = apply(layer, *(source.exact[s] for source in sources))
        if not np.isfinite(y[s]).all():
            raise UserError(f"layer {layer.name} gives infinite or undefined values on the calibration images")

    Stream(slices, y, *(source.exact for source in sources)).map(fill)
    return y


def _accumulators(tuned, layer, sources, slices, room):
    """The fixed-point network's exact accumulators of one layer, [N, C, H, W]."""
    accumulators = room.array((len(sources[0].fixed), *layer.output_shape), accumulator_type(tuned, layer))

    def fill(s):
        accumulators[s] = accumulate(tuned, layer, *(source.fixed[s] for source in sources))

    Stream(slices, accumulators, *(source.fixed for source in sources)).map(fill)
    return accumulators


def _check_accumulator(layer, bits):
    if bits > MAX_ACCUMULATOR_BITS:
        raise UserError(
            f"layer {layer.name} needs an accumulator of {bits} bits where at most {MAX_ACCUMULATOR_BITS} "
            "exist: choose fewer weight or activation bits, or look for biases far larger than its weights"
        )
