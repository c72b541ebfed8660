"""The tuner: from a float network and calibration images to fixed-point integers.

The way is that of Qiu et al., "Going Deeper with Embedded FPGA Platform for Convolutional Neural Network"
(FPGA 2016), section 5.2: weights layer by layer, data greedily from the first layer to the last. What is
chosen for, and by which steps, is the method: `tuner/methods.py`.
"""

from dataclasses import dataclass, replace

import numpy as np

from quantflow.arithmetic import MAX_BITS, MIN_BITS, Format, quantize, signed_bits
from quantflow.capabilities import check_supported
from quantflow.datasets import check_images
from quantflow.errors import UserError
from quantflow.float_engine import apply
from quantflow.graph import MaxPool
from quantflow.integer_engine import (
    MAX_ACCUMULATOR_BITS,
    accumulate,
    accumulator_bits,
    batches,
    max_pool,
    requantize,
    working_bytes,
)
from quantflow.quantized import QuantizedLayer, QuantizedNetwork
from quantflow.tuner.activations import choose_output, largest_output, with_output
from quantflow.tuner.methods import find_method
from quantflow.tuner.room import room
from quantflow.tuner.rounding import round_weights
from quantflow.tuner.weights import least_error_fl, quantize_bias


@dataclass(frozen=True, kw_only=True, eq=False)
class Maps:
    """One layer's maps on the whole calibration set, both [N, C, H, W]."""

    exact: np.ndarray  # float32, of the float network
    fixed: np.ndarray  # int16, of the fixed-point network


def tune(
    network,
    calibration,
    *,
    activation_bits=8,
    weight_bits=8,
    method="default",
    steps=None,
    per_channel=False,
    progress=None,
):
    """Choose every fractional length of `network` and round its numbers: a QuantizedNetwork.

    The method "paper", for each layer in order of execution: weights take the fl that minimises
    sum |W - W(bits, fl)|; biases lie at the accumulator's fl; outputs take the fl that minimises
    sum |x_float - x(bits, fl)|, x being what the fixed-point network computes from its own quantized
    outputs. The input takes the fl that minimises the same sum over the calibration images. Each layer is
    computed once; its accumulators serve all candidates.

    The methods "max" and "mse" choose for other objectives; "default" too, and by further `steps`, names
    from `tuner.methods.STEPS` (by default all): see there. With `per_channel` every output channel's
    weights have their own fl.

    `calibration` is float [N, C, H, W] as the network expects it; `activation_bits` and `weight_bits`
    are 2 to 16; `progress`, if given, is called as `progress(done, total, layer name)` after each layer.
    Raises UserError for other bit widths, methods and steps, unusable images, a layer that only the float
    engine computes so far, and one that needs an accumulator of more than 48 bits.
    """
    _check_bits("activation", activation_bits)
    _check_bits("weight", weight_bits)
    check_supported(network, "the tuner")
    method = find_method(method, steps, per_channel)
    calibration = check_images(calibration, network.input_shape, "the calibration set")
    input_format = Format(bits=activation_bits, fl=least_error_fl(calibration, activation_bits, method.activations))
    tuned = QuantizedNetwork(network=network, input=input_format, layers={})
    maps = {network.input_name: _input_maps(calibration, input_format)}
    for done, layer in enumerate(network.layers, start=1):
        source = maps[layer.inputs[0]]
        maps[layer.name], tuned = _tune_layer(tuned, layer, source, activation_bits, weight_bits, method)
        _drop_unread(maps, network.layers[done:])
        if progress is not None:
            progress(done, len(network.layers), layer.name)
    return tuned


def _tune_layer(tuned, layer, source, activation_bits, weight_bits, method):
    """The maps of `layer` and the tuned network with its entry, from its input's maps."""
    slices = batches(len(source.exact), working_bytes(layer))
    y_float = _float_maps(layer, source.exact, slices)
    input_format = tuned.output_format(layer.inputs[0])
    if isinstance(layer, MaxPool):
        y_fixed = room(y_float.shape, np.int16)
        for s in slices:
            y_fixed[s] = max_pool(layer, source.fixed[s], input_format)
        return Maps(exact=y_float, fixed=y_fixed), tuned
    rounded = round_weights(layer, source, input_format, weight_bits, method, slices)
    output = largest_output(y_float, activation_bits)
    quantized_layer = _quantize_layer(layer, input_format, weight_bits, rounded, output)
    accumulators = _accumulator_maps(layer, quantized_layer, input_format, source.fixed, slices)
    output = choose_output(layer, quantized_layer, input_format, y_float, accumulators, slices, method.activations)
    quantized_layer = with_output(quantized_layer, input_format, output)
    y_fixed = room(y_float.shape, np.int16)
    for s in slices:
        y_fixed[s] = requantize(accumulators[s], quantized_layer.shift, layer.relu, output.bits)
    tuned = replace(tuned, layers={**tuned.layers, layer.name: quantized_layer})
    return Maps(exact=y_float, fixed=y_fixed), tuned


def _quantize_layer(layer, input_format, weight_bits, rounded, output):
    """One layer with its RoundedWeights, and with `output` as the format from which phase two starts."""
    bias = quantize_bias(rounded.bias, input_format.fl + rounded.weight_fl)
    _check_accumulator(layer, signed_bits(int(bias.min()), int(bias.max())))
    quantized_layer = QuantizedLayer(
        name=layer.name,
        weight_bits=weight_bits,
        weight=rounded.weight,
        weight_fl=rounded.weight_fl,
        bias=bias.astype(np.int64),
        shift=np.zeros(len(bias), dtype=np.int32),
        output=output,
    )
    _check_accumulator(layer, accumulator_bits(quantized_layer, input_format))
    return quantized_layer


def _float_maps(layer, x, slices):
    """The float network's output of one layer, from its input `x`; UserError where it overflows."""
    y = room((len(x), *layer.output_shape), np.float32)
    for s in slices:
        y[s] = apply(layer, x[s])
        if not np.isfinite(y[s]).all():
            raise UserError(f"layer {layer.name} gives infinite or undefined values on the calibration images")
    return y


def _accumulator_maps(layer, quantized_layer, input_format, x, slices):
    """The fixed-point network's exact accumulators of one layer, int32 where they fit, else int64."""
    narrow = accumulator_bits(quantized_layer, input_format) <= 32
    accumulators = room((len(x), *layer.output_shape), np.int32 if narrow else np.int64)
    for s in slices:
        accumulators[s] = accumulate(layer, quantized_layer, x[s], input_format)
    return accumulators


def _input_maps(calibration, format):
    fixed = room(calibration.shape, np.int16)
    for s in batches(len(calibration), 8 * 4 * calibration[0].size):
        fixed[s] = quantize(calibration[s], format)
    return Maps(exact=calibration, fixed=fixed)


def _drop_unread(maps, remaining):
    """Forget the maps that none of the remaining layers reads."""
    read = {name for layer in remaining for name in layer.inputs}
    for name in set(maps) - read:
        del maps[name]


def _check_bits(what, bits):
    if not isinstance(bits, int) or not MIN_BITS <= bits <= MAX_BITS:
        raise UserError(f"{what} bits are a whole number from {MIN_BITS} to {MAX_BITS}, not {bits}")


def _check_accumulator(layer, bits):
    if bits > MAX_ACCUMULATOR_BITS:
        raise UserError(
            f"layer {layer.name} needs an accumulator of {bits} bits where at most {MAX_ACCUMULATOR_BITS} "
            "exist: choose fewer weight or activation bits, or look for biases far larger than its weights"
        )
