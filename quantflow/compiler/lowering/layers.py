"""How each kind of layer becomes stages."""

import numpy as np

from quantflow.accumulation import MAX_LEFT_SHIFT, accumulator_fl, output_range
from quantflow.compiler.lowering.averages import lower_average
from quantflow.compiler.lowering.concatenation import lower_concat
from quantflow.compiler.lowering.linear import Terms, append_linear
from quantflow.compiler.lowering.lowering import selection
from quantflow.compiler.lowering.pooling import lower_max_pool
from quantflow.compiler.stage import blocks
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool, Reshape, Window


def lower_convolution(lowering, layer):
    """A Convolution or Dense layer, its residual map entering the sums."""
    quantized, config = lowering.quantized, lowering.config
    integers = quantized.layers[layer.name]
    terms, groups = _terms(lowering, layer, integers.weight)
    fl = accumulator_fl(quantized, layer)
    finer = fl - integers.weight_fl - quantized.output_format(layer.inputs[0]).fl  # than the products
    if finer.any():
        weight = terms.weight.astype(np.int64) << finer.reshape(-1, 1, 1, 1)
        terms = Terms(source=terms.source, channels=terms.channels, weight=weight, window=terms.window)
    residual = None
    if len(layer.inputs) > 1:
        exponents = fl - quantized.output_format(layer.inputs[1]).fl
        residual = selection(lowering.unpadded(layer.inputs[1]), exponent=exponents)
    outputs = len(integers.bias)
    aligned = groups > 1 and outputs // groups % config.lanes == 0
    _append(
        lowering, layer, terms, residual, fl, bias=integers.bias,
        runs=(blocks(outputs // groups, config.lanes),) * groups if aligned else (),
    )  # fmt: skip


def _terms(lowering, layer, weight):
    """The Terms of a weighted layer, and how many groups it has."""
    if isinstance(layer, Dense) or _reads_flattened(lowering, layer):
        name = layer.inputs[0]
        while isinstance(lowering.layers.get(name), Reshape):
            name = lowering.layers[name].inputs[0]
        source = lowering.gather(name)
        window, groups = Window(kernel=source.shape[1:]), 1
        weight = weight.reshape(len(weight), *source.shape)
    else:
        source, window, groups = lowering.gather(layer.inputs[0]), layer.window, layer.groups
    outputs, inputs = weight.shape[:2]
    first = np.arange(outputs)[:, None] * groups // outputs * inputs
    return Terms(source=source, channels=first + np.arange(inputs), weight=weight, window=window), groups


def _reads_flattened(lowering, layer):
    """Whether a 1x1 convolution of one pixel reads what a Reshape has flattened: it is fully connected."""
    return (
        isinstance(lowering.layers.get(layer.inputs[0]), Reshape)
        and layer.groups == 1
        and tuple(layer.input_shape[1:]) == tuple(layer.window.kernel) == (1, 1)
        and not any(layer.window.padding)
    )


def _append(lowering, layer, terms, residual, fl, *, bias=0, runs=()):
    """The stages of a layer whose sums lie at `fl`, requantized to its output's format."""
    format = lowering.quantized.output_format(layer.name)
    least, greatest = output_range(layer, format)
    append_linear(
        lowering,
        layers=(layer.name,),
        terms=terms,
        residual=residual,
        output_shape=layer.output_shape,
        destination=lowering.written(layer.name),
        bias=bias,
        shift=fl - format.fl,
        least=least,
        greatest=np.reshape(greatest, -1),
        runs=runs,
        macs=layer.macs,
    )


def lower_add(lowering, layer):
    """The finer map through a diagonal 1x1 convolution, the coarser one as its residual."""
    quantized = lowering.quantized
    fl = accumulator_fl(quantized, layer)
    finer, coarser = sorted(layer.inputs, key=lambda name: -quantized.output_format(name).fl)
    exponent = fl - quantized.output_format(coarser).fl
    residual = selection(lowering.unpadded(coarser), exponent=exponent)
    _append(lowering, layer, selection(lowering.gather(finer)), residual, fl)


def lower_activation(lowering, layer):
    """A slope of 0 or 1 for all channels alike: a diagonal 1x1 convolution between bounds."""
    quantized = lowering.quantized
    source, format = quantized.output_format(layer.inputs[0]), quantized.output_format(layer.name)
    least, greatest = output_range(layer, format)
    if not layer.slope.any():
        least = max(least, 0)
    channels = layer.output_shape[0]
    raised, shift = raised_shift(np.full(channels, source.fl - format.fl))
    append_linear(
        lowering,
        layers=(layer.name,),
        terms=selection(lowering.gather(layer.inputs[0]), exponent=raised),
        output_shape=layer.output_shape,
        destination=lowering.written(layer.name),
        bias=0,
        shift=shift,
        least=least,
        greatest=np.reshape(greatest, -1),
    )


def raised_shift(shift):
    """Exponents of the weights, and shifts, where the shift to the left alone may be greater than the machine's."""
    raised = np.maximum(-MAX_LEFT_SHIFT - shift, 0)
    return raised, shift + raised


LOWER = {
    Activation: lower_activation,
    Add: lower_add,
    AveragePool: lower_average,
    Concat: lower_concat,
    Convolution: lower_convolution,
    Dense: lower_convolution,
    MaxPool: lower_max_pool,
}
