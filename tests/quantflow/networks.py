"""Random tuned networks for tests: integers drawn directly, no training and no tuner."""

from dataclasses import replace

import numpy as np

from quantflow.accumulation import MAX_LEFT_SHIFT, accumulator_fl
from quantflow.arithmetic import Format
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
from quantflow.quantized import REQUANTIZED, WEIGHTED, QuantizedLayer, QuantizedNetwork


class RandomNetwork:
    """Builds a network layer by layer; `finish` draws the integers.

    A layer reads the one before it, or the map `source` names; `last` is the name of the newest map. Some
    channels are shifted to the left. With `vary`, formats differ from layer to layer, and what ends in a ReLU
    is unsigned.
    """

    def __init__(self, seed, input_shape, *, activation_bits=8, weight_bits=8, vary=False):
        self.random = np.random.default_rng(seed)
        self.input_shape = self.shape = input_shape
        self.activation_bits, self.weight_bits, self.vary = activation_bits, weight_bits, vary
        self.layers = []
        self.last, self._shapes = "image", {"image": input_shape}

    def shape_of(self, source):
        """[C, H, W] of the map `source`, by default the newest."""
        return self._shapes[source or self.last]

    def _append(self, type_, kind, output_shape, sources=(None,), **fields):
        inputs = tuple(source or self.last for source in sources)
        self.last, self.shape = f"{kind}{len(self.layers) + 1}", tuple(map(int, output_shape))
        self._shapes[self.last] = self.shape
        shapes = {"input_shape": self._shapes[inputs[0]], "output_shape": self.shape}
        self.layers.append(type_(name=self.last, inputs=inputs, **shapes, **fields))
        return self

    def convolution(
        self,
        channels,
        kernel,
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        relu=True,
        *,
        dilation=(1, 1),
        groups=1,
        maximum=None,
        source=None,
        residual=None,
    ):
        """`residual` names a map of the output's shape that is added to the sums."""
        window = Window(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
        shape = self.shape_of(source)
        return self._append(
            Convolution,
            "conv",
            (channels, *window.output_size(*shape[1:])),
            (source,) if residual is None else (source, residual),
            window=window,
            weight=np.zeros((channels, shape[0] // groups, *kernel), np.float32),
            bias=np.zeros(channels, np.float32),
            relu=relu,
            maximum=maximum,
            groups=groups,
        )

    def dense(self, features, relu=True, *, maximum=None, source=None):
        weight = np.zeros((features, int(np.prod(self.shape_of(source)))), np.float32)
        fields = {"weight": weight, "bias": np.zeros(features, np.float32), "relu": relu, "maximum": maximum}
        return self._append(Dense, "fc", (features, 1, 1), (source,), **fields)

    def pool(self, kernel, stride=None, padding=(0, 0, 0, 0), *, dilation=(1, 1), source=None):
        return self._pool(MaxPool, "pool", kernel, stride, padding, dilation, source)

    def average_pool(
        self, kernel, stride=None, padding=(0, 0, 0, 0), *, include_pad=False, relu=False, maximum=None, source=None
    ):
        fields = {"count_include_pad": include_pad, "relu": relu, "maximum": maximum}
        return self._pool(AveragePool, "average", kernel, stride, padding, (1, 1), source, **fields)

    def _pool(self, type_, kind, kernel, stride, padding, dilation, source, **fields):
        window = Window(kernel=kernel, stride=stride or kernel, padding=padding, dilation=dilation)
        shape = self.shape_of(source)
        output_shape = (shape[0], *window.output_size(*shape[1:]))
        return self._append(type_, kind, output_shape, (source,), window=window, **fields)

    def add(self, other, relu=True, *, maximum=None, source=None):
        return self._append(Add, "add", self.shape_of(source), (source, other), relu=relu, maximum=maximum)

    def concat(self, *others, source=None):
        sources = (source, *others)
        channels = sum(self.shape_of(each)[0] for each in sources)
        return self._append(Concat, "concat", (channels, *self.shape_of(source)[1:]), sources)

    def slice(self, start, output_shape, step=(1, 1, 1), *, source=None):
        return self._append(Slice, "slice", output_shape, (source,), start=start, step=step)

    def pad(self, before, after, value=0.0, *, source=None):
        shape = np.add(before, self.shape_of(source)) + after
        return self._append(Pad, "pad", shape, (source,), before=before, after=after, value=value)

    def reshape(self, output_shape, *, source=None):
        return self._append(Reshape, "reshape", output_shape, (source,))

    def activation(self, maximum=None, *, source=None):
        """Slopes from -0.5 to 1.5."""
        shape = self.shape_of(source)
        slope = self.random.uniform(-0.5, 1.5, shape[0]).astype(np.float32)
        return self._append(Activation, "activation", shape, (source,), slope=slope, maximum=maximum)

    def finish(self):
        network = Network(name="random", input_name="image", input_shape=self.input_shape, layers=tuple(self.layers))
        quantized = QuantizedNetwork(network=network, input=self._format(False), layers={})
        for layer in self.layers:
            format_ = self._format(getattr(layer, "relu", False))
            if isinstance(layer, WEIGHTED):
                quantized.layers[layer.name] = self._integers(quantized, layer, format_)
            if isinstance(layer, REQUANTIZED):
                fl = min(format_.fl, int(accumulator_fl(quantized, layer)))
                quantized.formats[layer.name] = Format(bits=format_.bits, fl=fl, signed=format_.signed)
        return quantized

    def _format(self, relu):
        signed = not (relu and self.vary)
        fl = self.activation_bits - signed - (int(self.random.integers(0, 3)) if self.vary else 0)
        return Format(bits=self.activation_bits, fl=fl, signed=signed)

    def _integers(self, quantized, layer, format_):
        formats = [quantized.output_format(name) for name in layer.inputs]
        high = 1 << (self.weight_bits - 1)
        weight = self.random.integers(-high, high, layer.weight.shape, dtype=np.int32)
        fan_in = weight[0].size
        # A shift that keeps results spread over the output's range, with some that saturate.
        spread = np.log2(high / 1.7 * (1 << (self.activation_bits - 1)) / 1.7 * np.sqrt(fan_in) / 3)
        shift = max(0, round(spread) - self.activation_bits + 2) + self.random.integers(0, 2, len(weight))
        reach = 1 << (self.weight_bits + self.activation_bits - 2)
        bias = self.random.integers(-reach, reach, len(weight))
        self._shift_left(weight, bias, shift)
        if formats[1:]:
            shift = np.maximum(shift, formats[1].fl - format_.fl)
        return QuantizedLayer(
            name=layer.name,
            weight_bits=self.weight_bits,
            weight=weight,
            weight_fl=(shift + format_.fl - formats[0].fl).astype(np.int32),
            bias=bias,
            output=format_,
        )

    def _shift_left(self, weight, bias, shift):
        """Make some channels' sums so small that many are still within the range when shifted left."""
        for channel in np.flatnonzero(self.random.random(len(weight)) < 0.2):
            taps = self.random.random(weight[channel].shape) < 2 / weight[channel].size
            weight[channel] = taps * self.random.choice([-1, 1], taps.shape)
            bias[channel] = self.random.integers(-3, 4)
            shift[channel] = -self.random.integers(1, MAX_LEFT_SHIFT + 1)

    def images(self, count):
        high = 1 << (self.activation_bits - 1)
        return self.random.integers(-high, high, (count, *self.input_shape), dtype=np.int32)


def every_kind(seed=0, **options):
    """A builder of a network with every kind of layer and every entry of each at something else than its default."""
    builder = RandomNetwork(seed, (4, 9, 8), **options)
    builder.convolution(6, (3, 2), (2, 1), (1, 0, 1, 1), dilation=(1, 2), groups=2, maximum=0.75)
    first = builder.last
    builder.activation(maximum=0.8).convolution(6, (1, 1), relu=False)
    builder.convolution(6, (3, 3), padding=(1, 1, 1, 1), groups=6, residual=first)
    builder.average_pool((3, 3), (1, 1), (1, 1, 1, 1), include_pad=True, relu=True, maximum=0.6)
    builder.add(first, maximum=0.9).concat(first)
    builder.slice((1, 0, 1), (5, 5, 3), (2, 1, 2)).pad((0, 1, 0), (1, 0, 2), -0.25)
    builder.pool((2, 2), (2, 1), (1, 0, 0, 1), dilation=(2, 1)).average_pool((2, 3), (1, 2), (0, 1, 1, 0))
    builder.reshape((3, builder.shape[0] * builder.shape[1] * builder.shape[2] // 3, 1))
    return builder.dense(7, maximum=0.9).dense(3, relu=False)


def with_floats(quantized, seed=0):
    """`quantized` with float weights and biases near its integers' values, where RandomNetwork has zeros."""
    random = np.random.default_rng(seed)
    layers = []
    for layer in quantized.network.layers:
        if layer.name in quantized.layers:
            entry = quantized.layers[layer.name]
            fl = entry.weight_fl.reshape(-1, *(1,) * (entry.weight.ndim - 1))
            weight = np.ldexp(entry.weight + random.uniform(-2, 2, entry.weight.shape), -fl)
            bias = np.ldexp(entry.bias + random.uniform(-2, 2, entry.bias.shape), -accumulator_fl(quantized, layer))
            layer = replace(layer, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
        layers.append(layer)
    return replace(quantized, network=replace(quantized.network, layers=tuple(layers)))
