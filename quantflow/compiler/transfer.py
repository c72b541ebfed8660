"""What the host does at either end: pack an image for the machine, unpack its result."""

from dataclasses import asdict, dataclass

import numpy as np

from quantflow import packing
from quantflow.arithmetic import Format, quantize
from quantflow.compiler.lowering import Fold
from quantflow.compiler.stage import blocks


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A feature map in memory: words [row][column][channel block] of `lanes` channels each."""

    name: str  # of the layer whose output it is, or of the network's input
    format: Format
    shape: tuple[int, int, int]  # [C, H, W] as the network has it
    memory_shape: tuple[int, int, int]  # [C, H, W] as it lies in memory
    fold: Fold | None
    lanes: int
    container_bits: int

    @property
    def bytes(self):
        channels, height, width = self.memory_shape
        return blocks(channels, self.lanes) * self.lanes * height * width * self.container_bits // 8

    def pack(self, integers):
        """Integer map [C, H, W] to bytes (uint8 array)."""
        if integers.shape != self.shape:
            raise ValueError(f"{self.name} has the shape {self.shape}, not {integers.shape}")
        maps = self.fold.apply(integers[None])[0] if self.fold else integers
        channels = self.memory_shape[0]
        filled = np.pad(maps, ((0, -channels % self.lanes), (0, 0), (0, 0)))
        return packing.pack_words(filled.transpose(1, 2, 0).reshape(-1, self.lanes), self.container_bits)

    def pack_image(self, image):
        """Float image [C, H, W], quantized to the input's format, to bytes."""
        return self.pack(quantize(image, self.format))

    def unpack(self, data):
        """Bytes to the integer map [C, H, W]; only for maps that are not folded."""
        channels, height, width = self.memory_shape
        words = packing.unpack_words(np.frombuffer(data, np.uint8), self.container_bits, self.lanes)
        return words.reshape(height, width, -1)[..., :channels].transpose(2, 0, 1)

    def to_json(self):
        return asdict(self)

    @classmethod
    def from_json(cls, values):
        fold = Fold(**values["fold"]) if values["fold"] else None
        shapes = {key: tuple(values[key]) for key in ("shape", "memory_shape")}
        return cls(**{**values, **shapes, "format": Format(**values["format"]), "fold": fold})
