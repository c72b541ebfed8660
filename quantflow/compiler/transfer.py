"""What the host does at either end: pack images for the machine, unpack their results."""

from dataclasses import asdict, dataclass

import numpy as np

from quantflow import packing
from quantflow.arithmetic import Format, quantize
from quantflow.compiler.layouts import Layout
from quantflow.compiler.lowering.folding import Fold
from quantflow.config import Config


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A feature map in memory: rows of all banks, as they lie in the activation scratchpad.

    A program of a batch has the maps of several `images` one behind the other or, where `beside`, one map in which
    pixel x of image n is column x * (the map's width / an image's) + n.
    """

    name: str  # of the layer whose output it is, or of the network's input
    format: Format
    shape: tuple[int, int, int]  # [C, H, W] as the network has it
    memory_shape: tuple[int, int, int]  # [C, H, W] as it lies in memory, of all images where they lie side by side
    fold: Fold | None
    layout: Layout
    config: Config
    images: int = 1
    beside: bool = False
    image: int = 0  # the one of the batch whose map it is, where it is a single one's

    @property
    def bytes(self):
        return self.layout.words * self.config.bank_row_bytes * (1 if self.beside else self.images)

    @property
    def _pitch(self):
        """(width of an image in memory, columns from a pixel of it to the next)."""
        width = self.fold.width if self.fold else self.shape[2]
        return width, self.memory_shape[2] // width

    def pack(self, integers):
        """Integer map [C, H, W], or those of a batch [N, C, H, W], to bytes (uint8 array)."""
        expected = self.shape if self.images == 1 else (self.images, *self.shape)
        if integers.shape != expected:
            raise ValueError(f"{self.name} has the shape {expected}, not {integers.shape}")
        maps = integers.reshape(self.images, *self.shape)
        maps = self.fold.apply(maps) if self.fold else maps
        if not self.beside:
            return np.concatenate([self._pack(each.reshape(self.memory_shape)) for each in maps])
        channels, height, _ = self.memory_shape
        width, pitch = self._pitch
        together = np.zeros((channels, height, width, pitch), np.int32)
        together[..., : self.images] = maps.reshape(-1, channels, height, width).transpose(1, 2, 3, 0)
        return self._pack(together.reshape(self.memory_shape))

    def _pack(self, maps):
        lanes = self.config.lanes
        filled = np.pad(maps, ((0, -len(maps) % lanes), (0, 0), (0, 0)))
        rows = np.zeros((self.layout.words, self.config.pixels, lanes), np.int32)
        rows[self._places()] = filled.reshape(-1, lanes, *maps.shape[1:]).transpose(0, 2, 3, 1)
        return packing.pack_bank_rows(rows, self.config)

    def pack_image(self, image):
        """Float image [C, H, W], quantized to the input's format, to bytes."""
        return self.pack(quantize(image, self.format))

    def unpack(self, data):
        """Bytes to the integer map [C, H, W], or those of a batch [N, C, H, W]; only for maps that are not folded."""
        if self.images == 1:
            return self._unpack(data).reshape(self.shape)
        if not self.beside:
            parts = np.frombuffer(data, np.uint8).reshape(self.images, -1)
            return np.stack([self._unpack(part.tobytes()).reshape(self.shape) for part in parts])
        together = self._unpack(data)
        width, pitch = self._pitch
        together = together.reshape(*together.shape[:2], width, pitch)[..., : self.images]
        return together.transpose(3, 0, 1, 2).reshape(self.images, *self.shape)

    def _unpack(self, data):
        rows = packing.unpack_bank_rows(np.frombuffer(data, np.uint8), self.config)
        words = rows[self._places()]  # [block, row, column, lane]
        channels, height, width = self.memory_shape
        maps = words.transpose(0, 3, 1, 2).reshape(-1, height, width)[:channels]
        if not self.format.signed:
            maps = maps & ((1 << self.format.bits) - 1)
        return maps

    def _places(self):
        """Row of banks and bank of every word [block, row, column]."""
        layout = self.layout
        block, row, column = np.ix_(range(layout.blocks), range(layout.height), range(layout.width))
        bank, address = (np.array(values) for values in zip(*map(layout.column, range(layout.width)), strict=True))
        rows = block * layout.block_stride + row * layout.row_stride + address[column]
        return rows, np.broadcast_to(bank[column], rows.shape)

    def to_json(self):
        return asdict(self)

    @classmethod
    def from_json(cls, values):
        fold = Fold(**values["fold"]) if values["fold"] else None
        shapes = {key: tuple(values[key]) for key in ("shape", "memory_shape")}
        parts = {"format": Format(**values["format"]), "layout": Layout(**values["layout"])}
        return cls(**{**values, **shapes, **parts, "fold": fold, "config": Config(**values["config"])})
