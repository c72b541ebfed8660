"""The float network: a list of layers in the order they run.

Feature maps are NCHW, one image being [channels, height, width]. A fully connected layer reads
the flattened map of its input, so no flatten layer exists; its output is [features, 1, 1].
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Window:
    """The sliding window of a convolution or pooling, in (vertical, horizontal) order."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right

    def output_size(self, height, width):
        top, left, bottom, right = self.padding
        return (
            (height + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (width + left + right - self.kernel[1]) // self.stride[1] + 1,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """What every layer has. `inputs` name earlier layers or the network's input."""

    name: str
    inputs: tuple[str, ...]
    input_shape: tuple[int, int, int]  # [C, H, W] of the (first) input
    output_shape: tuple[int, int, int]  # [C, H, W]

    @property
    def macs(self):
        """Multiply-accumulates for one image."""
        return 0

    @property
    def parameters(self):
        return 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(Layer):
    """y = relu?(W * x + b): cross-correlation as ONNX's Conv defines it."""

    window: Window
    weight: np.ndarray = field(repr=False)  # float32 [O, C, kernel height, kernel width]
    bias: np.ndarray = field(repr=False)  # float32 [O]
    relu: bool = False

    @property
    def macs(self):
        return self.weight.size * self.output_shape[1] * self.output_shape[2]

    @property
    def parameters(self):
        return self.weight.size + self.bias.size


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Layer):
    """y = relu?(W x + b), x being the input map flattened in [C, H, W] order."""

    weight: np.ndarray = field(repr=False)  # float32 [O, C * H * W]
    bias: np.ndarray = field(repr=False)  # float32 [O]
    relu: bool = False

    @property
    def macs(self):
        return self.weight.size

    @property
    def parameters(self):
        return self.weight.size + self.bias.size


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Layer):
    """Maximum over a window; padding never wins (it counts as minus infinity)."""

    window: Window


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Layers in execution order, from one named input to the last layer's output."""

    name: str
    input_name: str
    input_shape: tuple[int, int, int]  # [C, H, W]
    layers: tuple[Layer, ...]

    @property
    def output_shape(self):
        return self.layers[-1].output_shape

    @property
    def macs(self):
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self):
        return sum(layer.parameters for layer in self.layers)

    def __getitem__(self, name):
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)
