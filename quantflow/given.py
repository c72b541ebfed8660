"""A tuned network from a model that came with all its quantizers: nothing is left to choose."""

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, accumulator_fl, output_fl_range, sum_bits, sums_fl
from quantflow.arithmetic import Format, quantize
from quantflow.errors import UserError
from quantflow.quantized import MOVING, WEIGHTED, QuantizedLayer, QuantizedNetwork


def quantize_given(network):
    """The QuantizedNetwork of a float Network whose every map and weight came with a format.

    Biases are rounded half to even at the accumulators' fractional length. Raises UserError for the first
    format that is not given, and where the formats do not go together: an output may be MAX_LEFT_SHIFT bits
    finer than the accumulators, or coarser by less than their width, at most MAX_ACCUMULATOR_BITS.
    """
    quantized = QuantizedNetwork(network=network, input=_given(network, network.input_name), layers={})
    for layer in network.layers:
        if isinstance(layer, MOVING):
            continue
        output = _given(network, layer.name)
        if isinstance(layer, WEIGHTED):
            quantized.layers[layer.name] = _integers(quantized, layer, output)
        else:
            quantized.formats[layer.name] = output
        bits = sum_bits(quantized, layer)
        if bits > MAX_ACCUMULATOR_BITS:
            raise UserError(f"layer {layer.name!r} needs sums of {bits} bits; at most {MAX_ACCUMULATOR_BITS} will do")
        check_given_output(quantized, layer)
    return quantized


def check_given_output(quantized, layer):
    """Raise UserError where the layer's sums cannot be shifted to the format that its output came with."""
    output = quantized.output_format(layer.name)
    coarsest, finest = output_fl_range(accumulator_fl(quantized, layer))
    if output.fl > finest:
        raise UserError(_beyond(layer, output, "finer", finest, "finest"))
    if output.fl < coarsest:
        raise UserError(_beyond(layer, output, "coarser", coarsest, "coarsest"))


def _beyond(layer, output, comparative, limit, superlative):
    return (
        f"the quantizer of {layer.name!r} has the scale {output.scale:g}, much {comparative} than the layer's sums; "
        f"{2.0**-limit:g} is the {superlative} that is supported"
    )


def _given(network, name):
    format = network.formats.get(name)
    if format is None:
        raise UserError(
            f"{network.name} comes without a quantizer for the map of {name!r}: tune it on calibration images instead"
        )
    return format


def _integers(quantized, layer, output):
    network = quantized.network
    given = network.weight_formats.get(layer.name)
    if given is None:
        raise UserError(
            f"{network.name} comes without a quantizer for the weights of {layer.name!r}: tune it on calibration "
            f"images instead"
        )
    weight_fl = np.asarray(given.fl, dtype=np.int32)
    fl = sums_fl(weight_fl, *(quantized.output_format(name) for name in layer.inputs))
    bias = np.rint(np.ldexp(layer.bias.astype(np.float64), fl))
    if np.abs(bias).max() >= 1 << (MAX_ACCUMULATOR_BITS - 1):
        raise UserError(
            f"a bias of layer {layer.name!r} takes more than {MAX_ACCUMULATOR_BITS} bits at the scale of its sums"
        )
    return QuantizedLayer(
        name=layer.name,
        weight_bits=given.bits,
        weight=given_weight(layer, given),
        weight_fl=weight_fl,
        bias=bias.astype(np.int64),
        output=output,
    )


def given_weight(layer, given):
    """The integers of the layer's weights in their WeightFormat: int32, shaped like them.

    Raises UserError where a weight is not on the format's grid, as one that was changed since is not.
    """
    fl = np.reshape(given.fl, (-1, *(1,) * (layer.weight.ndim - 1)))
    scaled = np.ldexp(layer.weight.astype(np.float64), fl)
    integers = quantize(scaled, Format(bits=given.bits, fl=0))
    if not np.array_equal(integers, scaled):
        wrong = layer.weight[integers != scaled][0]
        raise UserError(
            f"the weight {wrong:g} of layer {layer.name!r} is no integer of {given.bits} bits times the given scale"
        )
    return integers
