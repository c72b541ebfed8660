"""Random tuned networks of every kind of layer, branches included: integers drawn directly, no tuner."""

import math
from dataclasses import replace

import numpy as np

from quantflow.accumulation import accumulate, accumulator_fl
from quantflow.arithmetic import Format, largest_fl, quantize
from quantflow.graph import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    Dense,
    MaxPool,
    Network,
    Pad,
    Reshape,
    Slice,
    Window,
)
from quantflow.integer_engine import run_layer
from quantflow.quantized import MOVING, QuantizedLayer, QuantizedNetwork


class RandomGraph:
    """Builds a network layer by layer; each method gives the new layer's name.

    `bits` and `signed` of a layer's output may be given; its fractional length is such that values spread over
    the range, and some saturate. `share` is a layer's upper bound as a share of its format's.
    """

    def __init__(self, seed, input_shape=(4, 9, 9), *, bits=8, weight_bits=8, signed=True):
        self.random = np.random.default_rng(seed)
        self.bits, self.weight_bits, self.signed = bits, weight_bits, signed
        empty = Network(name="random", input_name="image", input_shape=input_shape, layers=())
        input_format = Format(bits=bits, fl=int(self.random.integers(-2, bits + 3)), signed=signed)
        self.quantized = QuantizedNetwork(network=empty, input=input_format, layers={})
        self._maps = {"image": quantize(self.images(8), input_format)}

    def shape(self, name):
        network = self.quantized.network
        return network.input_shape if name == network.input_name else network[name].output_shape

    def _append(self, kind, inputs, output_shape, **fields):
        name = f"{kind.__name__.lower()}{len(self.quantized.network.layers)}"
        common = {"name": name, "inputs": inputs, "input_shape": self.shape(inputs[0]), "output_shape": output_shape}
        layer = kind(**common, **fields)
        self._set_layers(*self.quantized.network.layers, layer)
        if isinstance(layer, MOVING):
            self._run(layer)
        return layer

    def _set_layers(self, *layers):
        self.quantized = replace(self.quantized, network=replace(self.quantized.network, layers=layers))

    def _run(self, layer):
        self._maps[layer.name] = run_layer(self.quantized, layer, *self._inputs(layer))

    def _inputs(self, layer):
        return [self._maps[name].astype(np.float64) for name in layer.inputs]

    def _format(self, layer, bits, signed):
        """A format that the layer's results for a few images fill and seldom exceed."""
        bits = bits or self.bits
        signed = self.signed if signed is None else signed
        fl = accumulator_fl(self.quantized, layer)
        values = np.ldexp(accumulate(self.quantized, layer, *self._inputs(layer)), -np.reshape(fl, (-1, 1, 1)))
        if isinstance(layer, AveragePool):
            values = values / math.prod(layer.window.kernel)
        reach = float(np.quantile(np.abs(values), 0.97))
        highest_fl = largest_fl(-reach if signed else 0, reach, bits, signed)
        return Format(bits=bits, fl=min(highest_fl, int(np.min(fl))), signed=signed)

    def _weighted(self, layer, share, bits, signed, per_channel):
        high = 1 << (self.weight_bits - 1)
        weight = self.random.integers(-high, high, layer.weight.shape, dtype=np.int32)
        before = self.quantized.output_format(layer.inputs[0])
        fl = self.random.integers(-3, 12) + self.random.integers(0, 3 if per_channel else 1, len(weight))
        for name in layer.inputs[1:]:  # a residual is at most as fine as the sums
            fl = np.maximum(fl, self.quantized.output_format(name).fl - before.fl)
        reach = 1 << (self.weight_bits + before.bits - 2)
        bias = self.random.integers(-reach, reach, len(weight))
        integers = {"weight_bits": self.weight_bits, "weight": weight, "weight_fl": fl.astype(np.int32), "bias": bias}
        entry = self.quantized.layers[layer.name] = QuantizedLayer(name=layer.name, output=before, **integers)
        output = self._format(layer, bits, signed)
        self.quantized.layers[layer.name] = replace(entry, output=output)
        floats = {
            "weight": np.ldexp(weight, -fl.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32),
            "bias": np.ldexp(bias.astype(np.float64), -(before.fl + fl)).astype(np.float32),
            "maximum": None if share is None else np.float32(share) * np.float32(output.max * output.scale),
        }
        layer = replace(layer, **floats)
        self._set_layers(*self.quantized.network.layers[:-1], layer)
        self._run(layer)
        return layer.name

    def convolution(
        self, source, channels, kernel=(3, 3), *, groups=1, residual=None, relu=True, share=None, bits=None,
        signed=None, per_channel=False, **window,
    ):  # fmt: skip
        window = Window(kernel=kernel, **window)
        inputs, shape = (source, residual) if residual else (source,), self.shape(source)
        layer = self._append(
            Convolution, inputs, (channels, *window.output_size(*shape[1:])), window=window, groups=groups,
            relu=relu, bias=np.zeros(channels, np.float32),
            weight=np.zeros((channels, shape[0] // groups, *kernel), np.float32),
        )  # fmt: skip
        return self._weighted(layer, share, bits, signed, per_channel)

    def dense(self, source, features, *, relu=False, share=None, bits=None, signed=None, per_channel=False):
        weight = np.zeros((features, math.prod(self.shape(source))), np.float32)
        layer = self._append(Dense, (source,), (features, 1, 1), weight=weight, bias=weight[:, 0], relu=relu)
        return self._weighted(layer, share, bits, signed, per_channel)

    def _own_format(self, layer, bits, signed):
        self.quantized.formats[layer.name] = self._format(layer, bits, signed)
        self._run(layer)
        return layer.name

    def add(self, *sources, bits=None, signed=None, **fields):
        return self._own_format(self._append(Add, sources, self.shape(sources[0]), **fields), bits, signed)

    def concat(self, *sources, bits=None, signed=None):
        channels = sum(self.shape(source)[0] for source in sources)
        layer = self._append(Concat, sources, (channels, *self.shape(sources[0])[1:]))
        return self._own_format(layer, bits, signed)

    def average(self, source, kernel, *, bits=None, signed=None, count_include_pad=False, relu=False, **window):
        window = Window(kernel=kernel, **window)
        shape = (self.shape(source)[0], *window.output_size(*self.shape(source)[1:]))
        fields = {"window": window, "count_include_pad": count_include_pad, "relu": relu}
        return self._own_format(self._append(AveragePool, (source,), shape, **fields), bits, signed)

    def activation(self, source, slope, *, maximum=None, bits=None, signed=None):
        slope = np.broadcast_to(np.float32(slope), self.shape(source)[:1])
        layer = self._append(Activation, (source,), self.shape(source), slope=slope, maximum=maximum)
        return self._own_format(layer, bits, signed)

    def pool(self, source, kernel, **window):
        window = Window(kernel=kernel, **window)
        shape = (self.shape(source)[0], *window.output_size(*self.shape(source)[1:]))
        return self._append(MaxPool, (source,), shape, window=window).name

    def pad(self, source, before, after, value=0.0):
        shape = tuple(map(sum, zip(self.shape(source), before, after, strict=True)))
        return self._append(Pad, (source,), shape, before=before, after=after, value=value).name

    def cut(self, source, start, shape, step=(1, 1, 1)):
        return self._append(Slice, (source,), shape, start=start, step=step).name

    def reshape(self, source, shape):
        return self._append(Reshape, (source,), shape).name

    def bound(self, name):
        """The largest number that the map's format holds."""
        format = self.quantized.output_format(name)
        return np.float32(format.max * format.scale)

    def images(self, count):
        """Random images as floats, each value on the input's grid or between, some beyond its range."""
        format = self.quantized.input
        shape = (count, *self.quantized.network.input_shape)
        integers = self.random.uniform(1.05 * format.min - 1, 1.05 * format.max + 1, shape)
        return np.ldexp(np.round(integers * 2) / 2, -format.fl).astype(np.float32)  # many ties


def every_kind(seed, **choices):
    """A network that has every kind of layer, in every form that matters."""
    graph = RandomGraph(seed, (4, 9, 9), **choices)
    padding = (1, 1, 1, 1)
    a = graph.convolution("image", 6, padding=padding, per_channel=True)
    b = graph.convolution(a, 6, padding=padding, groups=6, relu=True, share=0.7)
    c = graph.convolution(b, 6, kernel=(1, 1), residual=a, per_channel=True)
    d = graph.convolution(c, 6, padding=(2, 2, 2, 2), dilation=(2, 2), groups=2, relu=False)
    e = graph.activation(graph.add(c, d, relu=False), graph.random.uniform(-0.5, 1.5, 6))
    f = graph.pool(e, (3, 3), stride=(2, 2), padding=(1, 0, 1, 1))
    g = graph.average(e, (3, 3), stride=(2, 2), padding=(1, 1, 1, 0))
    h = graph.concat(f, g, graph.average(e, (3, 3), stride=(2, 2), padding=(1, 1, 1, 0), count_include_pad=True))
    i = graph.cut(h, (2, 0, 1), (8, 4, 2), (2, 1, 2))
    j = graph.pad(i, (1, 0, 1), (2, 1, 0), 0.3)
    k = graph.add(j, graph.convolution(j, 11, padding=padding, relu=False), relu=True)
    m = graph.activation(graph.convolution(k, 5, (2, 2), stride=(2, 2), relu=False), 0.0)
    n = graph.reshape(m, (10, 1, graph.shape(m)[1] * graph.shape(m)[2] // 2))
    o = graph.average(n, graph.shape(n)[1:])
    p = graph.activation(graph.dense(o, 7, per_channel=True), 0.25)
    graph.add(p, graph.dense(k, 7, relu=True))
    return graph
