"""What a converter may ask about the surroundings of its node."""

import math
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from quantflow.arithmetic import Format
from quantflow.importer.nodes import Node, Refusal, UnknownShape, shown, with_batch
from quantflow.importer.tensors import Constants

MAX_MAP_VALUES = 2**28  # of one image
BATCHES = (2, 3, 7)  # numbers of images that show what depends on them, where any number is allowed


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value that depends on the network's input."""

    producer: str  # name of the step, or of the network's input
    shape: tuple[int | None, ...] | None  # without the batch: (C, H, W) or (F,); None if unknown
    integers: Format | None = None  # where it is what QuantizeLinear makes: integers instead of floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """A node among the values before it."""

    node: Node
    batch: int | None  # None: any number of images
    opset: int
    constants: Constants
    values: dict[str, Value]

    @property
    def batches(self):
        """The numbers of images for which what depends on them is computed."""
        return BATCHES if self.batch is None else (self.batch,)

    def check_inputs(self, least, most):
        """The number of inputs is right, and each is known."""
        given = len(self.node.inputs)
        if not least <= given <= most:
            expected = least if least == most else f"{least} to {most}"
            raise Refusal(f"has {given} inputs; {expected} are expected")
        for name in self.node.inputs:
            if name and name not in self.values and name not in self.constants:
                raise Refusal(f"reads {name!r}, which no initializer, input or earlier node provides")

    def computed(self, index=0):
        """The computed value that input `index` reads."""
        name = self.node.input(index)
        if not name:
            raise Refusal("lacks its input")
        if name not in self.values:
            raise Refusal(f"reads the constant {name!r} where the feature map is expected")
        if self.values[name].integers is not None and self.node.operator != "DequantizeLinear":
            raise Refusal(f"reads {name!r}, the integers of a QuantizeLinear; only DequantizeLinear may")
        return self.values[name]

    def is_constant(self, index):
        return self.node.input(index) in self.constants

    def constant(self, index, meaning, element_type=TensorProto.FLOAT):
        """The constant that input `index` reads."""
        name = self.node.input(index)
        if name in self.values:
            raise Refusal(f"computes its {meaning} {name!r}; only a constant is supported")
        if not name:
            raise Refusal(f"has no {meaning}, which must be given")
        return self.constants.array(name, meaning, element_type)

    def variants(self, index, meaning, element_type):
        """As `constant`, one for each of `batches`: what is computed from shapes may follow the batch."""
        name = self.node.input(index)
        if name in self.values or not name or not self.constants.varies(name):
            return (self.constant(index, meaning, element_type),) * len(self.batches)
        return self.constants.variants(name, meaning, element_type)

    def integer_list(self, meaning, index, *, since):
        """Integers that are an attribute before opset `since`, then input `index`; None if left out."""
        if self.opset < since:
            return self.node.attributes.integers(meaning, None, None, None)
        name = self.node.input(index)
        if not name:
            return None
        kind = self.constants.element_type(name) if name in self.constants else TensorProto.INT64
        kind = kind if kind == TensorProto.INT32 else TensorProto.INT64
        values = self.constant(index, meaning, kind)
        if values.ndim > 1:
            raise Refusal(f"has {meaning} of shape {shown(values.shape)}; a list is expected")
        return tuple(values.reshape(-1).tolist())

    def vector(self, index, meaning, size):
        """The constant [size] that input `index` reads, as float64; `size` may be None, for any."""
        vector = self.constant(index, meaning)
        if vector.ndim != 1 or size not in (None, vector.size):
            expected = shown(["channels" if size is None else size])
            raise Refusal(f"has a {meaning} of shape {shown(vector.shape)}; {expected} is expected")
        return vector.astype(np.float64)

    def map_shape(self):
        """(C, H, W) of the value that the node reads."""
        shape = self.known_shape()
        if len(shape) != 3:
            raise Refusal(f"reads a value of shape {with_batch(shape)}; [N, C, H, W] is expected")
        return shape

    def feature_count(self):
        """F of the value [N, F] that the node reads."""
        shape = self.known_shape()
        if len(shape) != 1:
            raise Refusal(f"reads a value of shape {with_batch(shape)}; flatten it to [N, F] first")
        return shape[0]

    def known_shape(self, index=0):
        shape = self.computed(index).shape
        if shape is None or None in shape or len(shape) not in (1, 3):  # no layer makes other ones
            raise UnknownShape
        return shape

    def layer(self, kind, shape, reads=0, **fields):
        """A layer of type `kind` with output `shape`; `reads` is the node's input, or a tuple of them."""
        check_size(shape, "makes a map")
        values = [self.computed(index) for index in (reads if isinstance(reads, tuple) else (reads,))]
        return kind(
            name=self.node.name,
            inputs=tuple(value.producer for value in values),
            input_shape=as_map(values[0].shape),
            output_shape=as_map(shape),
            **fields,
        )


def check_size(shape, words):
    """Refuse a map too large for any machine; `words` continue "node X ..."."""
    if math.prod(shape) > MAX_MAP_VALUES:
        raise Refusal(
            f"{words} of shape {with_batch(shape)}; at most {MAX_MAP_VALUES} values an image are supported"
        )


def as_map(shape):
    """(C, H, W) of a value: features are channels of one pixel."""
    return (*shape, 1, 1) if len(shape) == 1 else tuple(shape)
