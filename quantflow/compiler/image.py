"""The model's memory image: programs, then each chunk's parameters and weights."""

import numpy as np

from quantflow import isa, packing
from quantflow.compiler.schedule import memory_width

ALIGNMENT = 128  # bytes; a whole number of beats of all ports of every machine


def parameter_bytes(chunk, stage, config):
    """Biases and shifts of a chunk's output blocks; channels that do not exist are zero."""
    lanes = config.lanes
    padding = (0, -len(stage.bias) % lanes)
    bias = np.pad(stage.bias, padding).reshape(-1, lanes)
    shift = np.pad(stage.shift, padding).reshape(-1, lanes)
    part = slice(chunk.first_block, chunk.first_block + chunk.block_count)
    return packing.pack_parameters(bias[part], shift[part], config)


def weight_bytes(chunk, stage, config):
    """Weight words of a chunk in the order of the array's steps: [block][ky][kx][c] of [o][i]."""
    lanes = config.lanes
    outputs, inputs, rows, columns = stage.weight.shape
    padded = np.pad(stage.weight, ((0, -outputs % lanes), (0, -inputs % lanes), (0, 0), (0, 0)))
    split = padded.reshape(-1, lanes, padded.shape[1] // lanes, lanes, rows, columns)
    part = split[chunk.first_block : chunk.first_block + chunk.block_count]
    words = part.transpose(0, 4, 5, 2, 1, 3).reshape(-1, lanes * lanes)
    return packing.pack_words(words, memory_width(stage, config))


def program_bytes(instructions, config):
    """Instructions as they lie in memory, one after the other, to a uint8 array."""
    size = isa.instruction_bits(config) // 8
    words = b"".join(isa.encode(i, config).to_bytes(size, "little") for i in instructions)
    return np.frombuffer(words, np.uint8)


class ImageBuilder:
    """Appends aligned sections and says where each begins."""

    def __init__(self):
        self.sections, self.size = [], 0

    def append(self, data):
        """Byte offset of `data` in the image."""
        offset = self.size
        padded = np.pad(data, (0, -len(data) % ALIGNMENT))
        self.sections.append(padded)
        self.size += len(padded)
        return offset

    def reserve(self, size):
        return self.append(np.zeros(size, np.uint8))

    def finish(self):
        return np.concatenate(self.sections)
