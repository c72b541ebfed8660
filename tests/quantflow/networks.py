"""Random tuned networks for tests: integers drawn directly, no training and no tuner."""

import numpy as np

from quantflow.arithmetic import Format
from quantflow.graph import Convolution, Dense, MaxPool, Network, Window
from quantflow.quantized import QuantizedLayer, QuantizedNetwork


class RandomNetwork:
    """Builds a chain layer by layer; `finish` draws the integers."""

    def __init__(self, seed, input_shape, *, activation_bits=8, weight_bits=8):
        self.random = np.random.default_rng(seed)
        self.input_shape = self.shape = input_shape
        self.activation_bits, self.weight_bits = activation_bits, weight_bits
        self.layers = []

    def _common(self, kind, output_shape):
        before = self.layers[-1].name if self.layers else "image"
        name = f"{kind}{len(self.layers) + 1}"
        common = {"name": name, "inputs": (before,), "input_shape": self.shape, "output_shape": output_shape}
        self.shape = output_shape
        return common

    def convolution(self, channels, kernel, stride=(1, 1), padding=(0, 0, 0, 0), relu=True):
        window = Window(kernel=kernel, stride=stride, padding=padding)
        weight = np.zeros((channels, self.shape[0], *kernel), np.float32)
        common = self._common("conv", (channels, *window.output_size(*self.shape[1:])))
        bias = np.zeros(channels, np.float32)
        self.layers.append(Convolution(window=window, weight=weight, bias=bias, relu=relu, **common))
        return self

    def pool(self, kernel, stride=None, padding=(0, 0, 0, 0)):
        window = Window(kernel=kernel, stride=stride or kernel, padding=padding)
        common = self._common("pool", (self.shape[0], *window.output_size(*self.shape[1:])))
        self.layers.append(MaxPool(window=window, **common))
        return self

    def dense(self, features, relu=True):
        weight = np.zeros((features, int(np.prod(self.shape))), np.float32)
        common = self._common("fc", (features, 1, 1))
        self.layers.append(Dense(weight=weight, bias=np.zeros(features, np.float32), relu=relu, **common))
        return self

    def finish(self):
        network = Network(
            name="random", input_name="image", input_shape=self.input_shape, layers=tuple(self.layers)
        )
        format_ = Format(bits=self.activation_bits, fl=self.activation_bits - 1)
        layers = {
            layer.name: self._integers(layer, format_) for layer in self.layers if not isinstance(layer, MaxPool)
        }
        return QuantizedNetwork(network=network, input=format_, layers=layers)

    def _integers(self, layer, format_):
        high = 1 << (self.weight_bits - 1)
        weight = self.random.integers(-high, high, layer.weight.shape, dtype=np.int32)
        fan_in = weight[0].size
        # A shift that keeps results spread over the output's range, with some that saturate.
        spread = np.log2(high / 1.7 * (1 << (self.activation_bits - 1)) / 1.7 * np.sqrt(fan_in) / 3)
        shift = max(0, round(spread) - self.activation_bits + 2) + self.random.integers(0, 2, len(weight))
        reach = 1 << (self.weight_bits + self.activation_bits - 2)
        return QuantizedLayer(
            name=layer.name,
            weight_bits=self.weight_bits,
            weight=weight,
            weight_fl=(shift + format_.fl - format_.fl).astype(np.int32),
            bias=self.random.integers(-reach, reach, len(weight)),
            shift=shift.astype(np.int32),
            output=format_,
        )

    def images(self, count):
        high = 1 << (self.activation_bits - 1)
        return self.random.integers(-high, high, (count, *self.input_shape), dtype=np.int32)
