"""One layer after the other as float operators between quantizers.

A layer that rounds (all but MaxPool, Pad, Reshape and Slice) becomes

    float operator [-> Add of the residual] [-> Relu or Clip] [-> Clip to the format] -> QuantizeLinear
    -> DequantizeLinear

where the second Clip makes up for a format narrower than its ONNX type. The node of the operator has the
layer's name. Layers that only move values work on the dequantized maps.
"""

import numpy as np

from quantflow.accumulation import accumulator_fl, slope_format
from quantflow.arithmetic import Format, dequantize, quantize
from quantflow.graph import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    Dense,
    MaxPool,
    Pad,
    Rectified,
    Reshape,
    Slice,
)
from quantflow.quantized import MOVING


def add_layer(maps, layer):
    """The nodes of one layer, whose inputs are written."""
    name, rank = layer.name, _rank(maps, layer)
    if isinstance(layer, MOVING):
        _NODES[type(layer)](maps, layer, name)
        maps.add(name, layer.output_shape, rank, name)
        return
    value = maps.writer.unused(f"{name}:float")
    _NODES[type(layer)](maps, layer, value)
    if isinstance(layer, Rectified) and layer.relu:
        value = _rectified(maps, layer, value, maps.writer.unused(f"{name}:rectified"))
    maps.add_rounded(name, layer.output_shape, rank, value, name)


def _rank(maps, layer):
    if isinstance(layer, Activation | Add):
        return min(maps.rank(name) for name in layer.inputs)
    return 2 if isinstance(layer, Dense) else 4


def _rectified(maps, layer, value, output, name=None, low=0.0):
    """min(max(value, low), layer.maximum), `low` None being no bound."""
    writer, maximum = maps.writer, layer.maximum
    if maximum is None:
        return writer.node("Relu", [value], output, name)
    if np.any(np.float32(maximum) != maximum):  # its integer is what counts
        format = maps.quantized.output_format(layer.name)
        maximum = dequantize(quantize(maximum, format), format)
    most = np.float32(maximum)
    if np.ndim(most) == 0:
        least = "" if low is None else writer.constant(f"{layer.name}:least", np.float32(low))
        return writer.node("Clip", [value, least, writer.constant(f"{layer.name}:most", most)], output, name)
    if low is not None:
        value, name = writer.node("Relu", [value], writer.unused(f"{layer.name}:unbounded"), name), None
    bounds = writer.constant(f"{layer.name}:most", most.reshape(-1, *(1,) * (_rank(maps, layer) - 2)))
    return writer.node("Min", [value, bounds], output, name)


def _convolution(maps, layer, output):
    inputs = [maps.read(layer.inputs[0], 4), *_weight_and_bias(maps, layer)]
    residual = layer.inputs[1:]
    sums = maps.writer.unused(f"{layer.name}:sums") if residual else output
    maps.writer.node("Conv", inputs, sums, layer.name, group=layer.groups, **_window(layer.window))
    for name in residual:
        maps.writer.node("Add", [sums, maps.read(name, 4)], output)


def _dense(maps, layer, output):
    inputs = [maps.read(layer.inputs[0], 2), *_weight_and_bias(maps, layer)]
    maps.writer.node("Gemm", inputs, output, layer.name, transB=1)


def _weight_and_bias(maps, layer):
    """The dequantized weights [O, ...] and bias [O]."""
    entry, name = maps.quantized.layers[layer.name], layer.name
    stored = Format(bits=entry.weight_bits, fl=0).dtype
    weight = _dequantized(maps.writer, f"{name}:weight", entry.weight.astype(stored), entry.weight_fl)
    fl = accumulator_fl(maps.quantized, layer)
    limits = np.iinfo(np.int32)
    if limits.min <= entry.bias.min() and entry.bias.max() <= limits.max:
        return weight, _dequantized(maps.writer, f"{name}:bias", entry.bias.astype(np.int32), fl)
    floats = np.ldexp(entry.bias.astype(np.float64), -fl).astype(np.float32)
    return weight, maps.writer.constant(f"{name}:bias", floats)


def _dequantized(writer, name, integers, fl):
    """Integers [O, ...], each of O with its fractional length, as an initializer behind a DequantizeLinear."""
    scales = np.ldexp(np.float32(1), -fl)
    per_channel = len(set(fl.tolist())) > 1
    given = writer.constant(f"{name}:integers", integers)
    scale = writer.constant(f"{name}:scale", scales if per_channel else scales[0])
    axis = {"axis": 0} if per_channel else {}
    return writer.node("DequantizeLinear", [given, scale], writer.unused(name), **axis)


def _max_pool(maps, layer, output):
    maps.writer.node("MaxPool", [maps.read(layer.inputs[0], 4)], output, layer.name, **_window(layer.window))


def _average_pool(maps, layer, output):
    attributes = {"count_include_pad": int(layer.count_include_pad), **_window(layer.window)}
    if layer.window.dilation == (1, 1):
        del attributes["dilations"]  # which AveragePool has only since opset 19
    maps.writer.node("AveragePool", [maps.read(layer.inputs[0], 4)], output, layer.name, **attributes)


def _add(maps, layer, output):
    rank = _rank(maps, layer)
    maps.writer.node("Add", [maps.read(name, rank) for name in layer.inputs], output, layer.name)


def _concat(maps, layer, output):
    maps.writer.node("Concat", [maps.read(name, 4) for name in layer.inputs], output, layer.name, axis=1)


def _slice(maps, layer, output):
    parts = zip(layer.start, layer.output_shape, layer.step, strict=True)
    ends = [start + (size - 1) * step + 1 for start, size, step in parts]
    lists = {"starts": layer.start, "ends": ends, "axes": (1, 2, 3), "steps": layer.step}
    constants = [maps.writer.constant(f"{layer.name}:{key}", np.array(v, np.int64)) for key, v in lists.items()]
    maps.writer.node("Slice", [maps.read(layer.inputs[0], 4), *constants], output, layer.name)


def _pad(maps, layer, output):
    format = maps.quantized.output_format(layer.inputs[0])
    value = np.float32(dequantize(quantize(layer.value, format), format))
    pads = np.array([0, *layer.before, 0, *layer.after], np.int64)
    constants = [maps.writer.constant(f"{layer.name}:{key}", v) for key, v in (("pads", pads), ("value", value))]
    maps.writer.node("Pad", [maps.read(layer.inputs[0], 4), *constants], output, layer.name)


def _reshape(maps, layer, output):
    source = layer.inputs[0]
    maps.reshape(maps.read(source, maps.rank(source)), output, layer.output_shape, layer.name)


def _activation(maps, layer, output):
    """PRelu with the slopes that the integer engine takes, and the upper bound; without slopes a rectifier."""
    rank, writer = _rank(maps, layer), maps.writer
    source, format = maps.read(layer.inputs[0], rank), slope_format(layer)
    slopes = quantize(layer.slope, format)
    if not slopes.any():
        _rectified(maps, layer, source, output, layer.name)
        return
    shape = (-1, *(1,) * (rank - 2))
    slope = writer.constant(f"{layer.name}:slope", dequantize(slopes, format).astype(np.float32).reshape(shape))
    if layer.maximum is None:
        writer.node("PRelu", [source, slope], output, layer.name)
    else:
        value = writer.node("PRelu", [source, slope], writer.unused(f"{layer.name}:unbounded"), layer.name)
        _rectified(maps, layer, value, output, low=None)


def _window(window):
    return {
        "kernel_shape": window.kernel,
        "strides": window.stride,
        "pads": window.padding,
        "dilations": window.dilation,
    }


_NODES = {
    Activation: _activation,
    Add: _add,
    AveragePool: _average_pool,
    Concat: _concat,
    Convolution: _convolution,
    Dense: _dense,
    MaxPool: _max_pool,
    Pad: _pad,
    Reshape: _reshape,
    Slice: _slice,
}
