"""The maps of an exported network: each a float value, the dequantized integers, with one rank or both."""

import numpy as np
from onnx import helper

from quantflow.exporter.writer import FLOAT


class Maps:
    """Writes what makes a layer's result a map, and hands the maps to the layers that read them.

    A map is [N, C, H, W], rank 4, or [N, F], rank 2, behind a fully connected layer. That of layer L is the
    value L, its integers are L:quantized. The network's input is not rounded itself: its integers are
    INPUT:quantized, and layers read INPUT:dequantized.
    """

    def __init__(self, quantized, writer):
        self.quantized, self.writer = quantized, writer
        self._shapes, self._ranks = {}, {}
        self._readings = {}  # (map, rank) -> the value that holds it with that rank

    def rank(self, name):
        return self._ranks[name]

    def sizes(self, name):
        """Sizes of a map as it is in the model, without the batch."""
        return self._shapes[name][: self._ranks[name] - 1]

    def add(self, name, shape, rank, value):
        """The map `name` is held by `value`."""
        self._shapes[name], self._ranks[name] = shape, rank
        self._readings[name, rank] = value
        self.writer.declare(name, FLOAT, self.sizes(name))

    def add_rounded(self, name, shape, rank, value, output):
        """The map `name` is `value` rounded to its format: QuantizeLinear and DequantizeLinear make `output`."""
        self.add(name, shape, rank, output)
        writer, format = self.writer, self.quantized.output_format(name)
        value = self._within(name, value, format)
        scale = writer.constant(f"{name}:scale", np.float32(format.scale))
        zero = writer.constant(f"{name}:zero", format.dtype.type(0))
        integers = writer.node("QuantizeLinear", [value, scale, zero], writer.unused(f"{name}:quantized"))
        writer.declare(integers, helper.np_dtype_to_tensor_dtype(format.dtype), self.sizes(name))
        writer.node("DequantizeLinear", [integers, scale, zero], output)

    def read(self, name, rank):
        """The value that holds the map `name` with the given rank."""
        if (name, rank) not in self._readings:
            source, writer = self._readings[name, self._ranks[name]], self.writer
            if rank == 2:
                value = writer.node("Flatten", [source], writer.unused(f"{name}:features"), axis=1)
            else:
                value = self.reshape(source, writer.unused(f"{name}:map"), self._shapes[name])
            self._readings[name, rank] = value
        return self._readings[name, rank]

    def reshape(self, source, output, shape, name=None):
        """Read `source` as a map of `shape` [C, H, W]."""
        target = self.writer.constant(f"{output}:shape", np.array([0, *shape], np.int64))  # 0: the batch stays
        return self.writer.node("Reshape", [source, target], output, name)

    def _within(self, name, value, format):
        """`value` clipped to the range of a format that is narrower than its ONNX type."""
        if format.bits in (8, 16):
            return value
        bounds = [
            self.writer.constant(f"{name}:{end}", np.float32(bound * format.scale))
            for end, bound in (("lowest", format.min), ("highest", format.max))
        ]
        return self.writer.node("Clip", [value, *bounds], self.writer.unused(f"{name}:in_range"))
