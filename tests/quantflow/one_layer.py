"""A layer by itself for tests of the integer side, its inputs in any formats."""

import numpy as np

from quantflow.arithmetic import Format
from quantflow.graph import Dense, Network
from quantflow.quantized import QuantizedLayer, QuantizedNetwork


class OneLayer:
    """A layer named y by itself, reading maps a, b, ... in random formats of so many bits."""

    def __init__(self, seed, bits, count=1, signed=None):
        self.random = np.random.default_rng([seed, bits])
        self.bits, self.names = bits, tuple("abcd"[:count])
        self.formats = {name: self.format(int(self.random.integers(-4, 12)), signed) for name in self.names}

    def format(self, fl, signed=None):
        signed = bool(self.random.integers(2)) if signed is None else signed
        return Format(bits=self.bits, fl=fl, signed=signed)

    def common(self, input_shape, output_shape):
        return {"name": "y", "inputs": self.names, "input_shape": input_shape, "output_shape": output_shape}

    def network(self, layer, entry=None, output=None):
        network = Network(name="one", input_name="x", input_shape=layer.input_shape, layers=(layer,))
        formats = self.formats | ({} if entry else {"y": output})
        layers = {"y": entry} if entry else {}
        return QuantizedNetwork(network=network, input=Format(bits=8, fl=0), layers=layers, formats=formats)

    def rectified(self):
        relu = bool(self.random.integers(3))
        # The least fl is -4: a bound of at most 2**11 lies within most ranges and beyond some.
        maximum = float(np.float32(2.0 ** self.random.uniform(-4, 11)))
        return {"relu": relu, "maximum": maximum if relu and self.random.integers(2) else None}

    def maps(self, *shapes):
        """Integers all over the range of each input, with many at its ends."""
        maps = []
        for name, shape in zip(self.names, shapes, strict=True):
            low, high = self.formats[name].min, self.formats[name].max
            x = self.random.integers(low, high + 1, (2, *shape))
            ends = self.random.choice([low, high], x.shape)
            maps.append(np.where(self.random.random(x.shape) < 0.1, ends, x).astype(np.int32))
        return maps

    def weighted(self, layer, weight_bits):
        """The integers of a Convolution or Dense, with shifts that keep results within and around the range."""
        high = 1 << (weight_bits - 1)
        weight = self.random.integers(-high, high, layer.weight.shape).astype(np.int32)
        reach = 1 << (weight_bits + self.bits - 2)
        width = int(np.log2(high * np.sqrt(weight[0].size))) + 1
        output = self.format(self.formats["a"].fl - int(self.random.integers(-2, 3)))
        fl = output.fl - self.formats["a"].fl + self.random.integers(width - 1, width + 2, len(weight))
        if len(self.names) > 1:
            fl = np.maximum(fl, self.formats["b"].fl - self.formats["a"].fl)
        return QuantizedLayer(
            name="y",
            weight_bits=weight_bits,
            weight=weight,
            weight_fl=np.maximum(fl, output.fl - self.formats["a"].fl).astype(np.int32),
            bias=self.random.integers(-reach, reach, len(weight)),
            output=output,
        )


def one_dense(weight, bias, *, relu=False, maximum=None, weight_fl=0, output=None):
    """A network of one fully connected layer: weight [O, K], its input of 8 bits at fractional length 0."""
    weight = np.array(weight, dtype=np.int32)
    layer = Dense(
        name="y", inputs=("x",), input_shape=(weight.shape[1], 1, 1), output_shape=(len(weight), 1, 1), relu=relu,
        maximum=maximum, weight=weight.astype(np.float32), bias=np.zeros(len(weight), np.float32),
    )  # fmt: skip
    network = Network(name="one", input_name="x", input_shape=layer.input_shape, layers=(layer,))
    fl, output = np.full(len(weight), weight_fl, np.int32), output or Format(bits=8, fl=0)
    entry = QuantizedLayer(
        name="y", weight_bits=8, weight=weight, weight_fl=fl, bias=np.array(bias, np.int64),
        output=output,
    )  # fmt: skip
    return QuantizedNetwork(network=network, input=Format(bits=8, fl=0), layers={"y": entry})
