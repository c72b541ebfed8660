"""The float network: layers in the order they run, each reading maps made before it.

Feature maps are NCHW, one image being [channels, height, width]. A fully connected layer reads
the flattened map of its input, so it needs no flatten layer; its output is [features, 1, 1].
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from quantflow.arithmetic import Format
from quantflow.representation import Represented


@dataclass(frozen=True, kw_only=True)
class Window:
    """The sliding window of a convolution or pooling, in (vertical, horizontal) order."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    dilation: tuple[int, int] = (1, 1)  # pixels from one tap to the next

    @property
    def extent(self):
        """Pixels from the first tap to the last, both counted: (vertical, horizontal)."""
        return tuple((taps - 1) * step + 1 for taps, step in zip(self.kernel, self.dilation, strict=True))

    def output_size(self, height, width):
        top, left, bottom, right = self.padding
        return (
            (height + top + bottom - self.extent[0]) // self.stride[0] + 1,
            (width + left + right - self.extent[1]) // self.stride[1] + 1,
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
class Rectified(Layer):
    """A layer that may end in y = min(max(y, 0), maximum)."""

    relu: bool = False
    maximum: float | np.ndarray | None = None  # only with relu: 6.0 for ReLU6, or float32 [C]; None: no upper bound


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(Rectified):
    """y = relu?(W * x + b [+ r]): cross-correlation as ONNX's Conv defines it.

    Output channel o reads the C / groups input channels of its group, o * groups // O. A second input r, of
    the output's shape, is a residual connection: it is added to the sums before the activation.
    """

    window: Window
    weight: np.ndarray = field(repr=False)  # float32 [O, C / groups, kernel height, kernel width]
    bias: np.ndarray = field(repr=False)  # float32 [O]
    groups: int = 1

    @property
    def macs(self):
        return self.weight.size * self.output_shape[1] * self.output_shape[2]

    @property
    def parameters(self):
        return self.weight.size + self.bias.size


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(Rectified):
    """y = relu?(W x + b), x being the input map flattened in [C, H, W] order."""

    weight: np.ndarray = field(repr=False)  # float32 [O, C * H * W]
    bias: np.ndarray = field(repr=False)  # float32 [O]

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
class AveragePool(Rectified):
    """Mean over a window; padded zeros count among the taps with `count_include_pad`, else they are left out."""

    window: Window
    count_include_pad: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Rectified):
    """y = relu?(a + b) of two maps of one shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Layer):
    """The channels of all inputs, one input after the other; `input_shape` is the first one's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice(Layer):
    """y[c, i, j] = x[start + step * (c, i, j)], in each of (channel, row, column)."""

    start: tuple[int, int, int]
    step: tuple[int, int, int] = (1, 1, 1)  # each at least 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(Layer):
    """The map with `value` around it: channels, rows and columns added before and after."""

    before: tuple[int, int, int]
    after: tuple[int, int, int]
    value: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Reshape(Layer):
    """The same values in the same [C, H, W] order, read as a map of another shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Layer):
    """y = min(x, maximum) where x >= 0, slope[c] * x elsewhere: an activation that no layer takes in."""

    slope: np.ndarray = field(repr=False)  # float32 [C]: 0 for ReLU
    maximum: float | np.ndarray | None = None  # one number, or float32 [C]


@dataclass(frozen=True, kw_only=True)
class HostOperator:
    """What the model does behind the network's output, left to the host."""

    operator: str  # as ONNX names it: Softmax, LogSoftmax, ArgMax
    name: str
    axis: int  # of [N, C, H, W] or [N, F], the batch being 0


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightFormat:
    """The quantizer that a layer's weights came with: each is an integer of `bits` bits times 2**-fl[o]."""

    bits: int
    fl: np.ndarray  # int32 [O]: fractional length of each output channel's weights


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Network(Represented):
    """Layers in execution order, from one named input to the last layer's output.

    A model may come with quantizers of its own. They round nothing in the float network, but a tuned one keeps
    them: `formats` of maps, `weight_formats` of weights, which are on their grid already.
    """

    name: str
    input_name: str
    input_shape: tuple[int, int, int]  # [C, H, W]
    layers: tuple[Layer, ...]
    host: tuple[HostOperator, ...] = ()  # in the order of execution, none of them computed here
    formats: dict[str, Format] = field(default_factory=dict)  # given ones, by layer (not moving ones) or input
    weight_formats: dict[str, WeightFormat] = field(default_factory=dict)  # given ones, by layer

    @property
    def output_shape(self):
        return self.layers[-1].output_shape

    @cached_property
    def last_reads(self):
        """By layer name, the maps that it is the last to read: who runs the network may drop them then."""
        readers = {name: layer.name for layer in self.layers for name in layer.inputs}
        return {layer.name: [name for name in readers if readers[name] == layer.name] for layer in self.layers}

    @property
    def macs(self):
        return sum(layer.macs for layer in self.layers)

    @property
    def parameters(self):
        return sum(layer.parameters for layer in self.layers)

    def _table(self):
        rows = [
            [layer.name, type(layer).__name__, _extents(layer.output_shape), f"{layer.macs:,}", f"{layer.parameters:,}"]
            for layer in self.layers
        ]
        title = f"Network {self.name}: {_extents(self.input_shape)}, {self.macs:,} MACs, {self.parameters:,} parameters"
        return title, ["layer", "kind", "output", "MACs", "parameters"], rows

    def __getitem__(self, name):
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


def _extents(shape):
    return " x ".join(map(str, shape))
