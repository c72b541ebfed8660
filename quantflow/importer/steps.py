"""What a model is between its ONNX nodes and the finished network: a draft of steps.

A step is a layer of `graph`, or one of the types here, which exist only until a pass has folded or
removed them.
"""

from dataclasses import dataclass, field

import numpy as np

from quantflow.arithmetic import Format
from quantflow.graph import HostOperator, Layer, WeightFormat


@dataclass(frozen=True, kw_only=True, eq=False)
class Passage(Layer):
    """y = x: Identity, Dropout in inference, a reshape that changes nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Flattening(Layer):
    """A map read as one of another shape, [C * H * W, 1, 1] mostly; the values keep their order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rectifier(Layer):
    """y = min(max(x, 0), maximum)."""

    maximum: float | None = None  # None: no upper bound


@dataclass(frozen=True, kw_only=True, eq=False)
class UpperBound(Layer):
    """y = min(x, maximum[c])."""

    maximum: np.ndarray = field(repr=False)  # float32 [C]
    refusal: str  # why it is not supported where it cannot be part of an activation


@dataclass(frozen=True, kw_only=True, eq=False)
class RangeClip(Layer):
    """y = min(max(x, low), high) with low < 0: what makes a quantizer's range narrower than its type's."""

    low: float
    high: float
    refusal: str  # why it is not supported elsewhere


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantizer(Layer):
    """y = clip(round_half_even(x * 2**fl)) * 2**-fl."""

    format: Format


@dataclass(frozen=True, kw_only=True, eq=False)
class HostStep(Layer):
    """What is left to the host if it ends the model."""

    operator: HostOperator


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelAffine(Layer):
    """y[c] = scale[c] * x[c] + offset[c]: batch normalization, or the addition of a bias."""

    scale: np.ndarray = field(repr=False)  # float64 [C]
    offset: np.ndarray = field(repr=False)  # float64 [C]

    @property
    def parameters(self):
        return self.scale.size + self.offset.size


@dataclass(frozen=True, kw_only=True, eq=False)
class Refused(Layer):
    """The place of a node that cannot be imported; its shapes are None where they are unknown."""


UNKNOWN = "not checked, since the shape of its input is unknown"  # verdict behind a refused node


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """How one node fared: a row of the inspection. Shapes are without the batch, None if unknown."""

    operator: str
    name: str
    input_shape: tuple[int | None, ...] | None
    output_shape: tuple[int | None, ...] | None
    macs: int | None
    parameters: int | None
    verdict: str = "ok"  # or "folded into X", "removed", or the reason of a refusal
    refused: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """A model on its way through the passes: steps in execution order, and how each node fared."""

    model_path: str
    name: str
    input_name: str
    input_shape: tuple[int, int, int] | None  # [C, H, W]; None if the model's input is refused
    steps: tuple[Layer, ...]
    entries: dict[str, Entry]  # by the node's name
    host: tuple[HostOperator, ...] = ()  # in the order of execution, behind the steps
    formats: dict[str, Format] = field(default_factory=dict)  # as Network has them
    weight_formats: dict[str, WeightFormat] = field(default_factory=dict)
    quantized_biases: frozenset[str] = frozenset()  # steps that add a constant which came quantized
    problems: tuple[str, ...]  # what is wrong with the graph as a whole, each continuing "FILE ..."
