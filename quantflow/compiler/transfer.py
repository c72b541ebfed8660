"""What the host does at either end: pack an image for the machine, unpack its result."""

from dataclasses import asdict, dataclass

import numpy as np

from quantflow import packing
from quantflow.arithmetic import Format, quantize
from quantflow.compiler.layouts import Layout
from quantflow.compiler.lowering import Fold
from quantflow.config import Config


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A feature map in memory: rows of all banks, as they lie in the activation scratchpad."""

    name: str  # of the layer whose output it is, or of the network's input
    format: Format
    shape: tuple[int, int, int]  # [C, H, W] as the network has it
    memory_shape: tuple[int, int, int]  # [C, H, W] as it lies in memory
    fold: Fold | None
    layout: Layout
    config: Config

    @property
    def bytes(self):
        return self.layout.words * self.config.bank_row_bytes

    def pack(self, integers):
        """Integer map [C, H, W] to bytes (uint8 array)."""
        if integers.shape != self.shape:
            raise ValueError(f"{self.name} has the shape {self.shape}, not {integers.shape}")
        maps = self.fold.apply(integers[None])[0] if self.fold else integers.reshape(self.memory_shape)
        lanes = self.config.lanes
        filled = np.pad(maps, ((0, -len(maps) % lanes), (0, 0), (0, 0)))
        rows = np.zeros((self.layout.words, self.config.pixels, lanes), np.int32)
        rows[self._places()] = filled.reshape(-1, lanes, *maps.shape[1:]).transpose(0, 2, 3, 1)
        return packing.pack_bank_rows(rows, self.config)

    def pack_image(self, image):
        """Float image [C, H, W], quantized to the input's format, to bytes."""
        return self.pack(quantize(image, self.format))

    def unpack(self, data):
        """Bytes to the integer map [C, H, W]; only for maps that are not folded."""
        rows = packing.unpack_bank_rows(np.frombuffer(data, np.uint8), self.config)
        words = rows[self._places()]  # [block, row, column, lane]
        channels, height, width = self.memory_shape
        maps = words.transpose(0, 3, 1, 2).reshape(-1, height, width)[:channels]
        if not self.format.signed:
            maps = maps & ((1 << self.format.bits) - 1)
        return maps.reshape(self.shape)

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
