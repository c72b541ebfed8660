"""The model's memory image: each stage's parameters and weights, then the programs."""

import numpy as np

from quantflow import isa, packing
from quantflow.compiler.weights import memory_width, sharing
from quantflow.seal import seal_program

ALIGNMENT = 128  # bytes; a whole number of beats of all ports of every machine


def parameter_bytes(stage, config):
    """Biases, shifts and greatest results of a stage's output blocks."""
    split = [np.reshape(numbers, (-1, config.lanes)) for numbers in (stage.bias, stage.shift, stage.greatest)]
    return packing.pack_parameters(*split, config)


def weight_bytes(stage, config):
    """Weight words of a stage in the order of the array's steps: [block][step] of [o][i]."""
    return packing.pack_words(stage.words.reshape(-1, config.lanes**2), memory_width(stage, config))


def program_bytes(instructions, config):
    """A whole program's instructions as they lie in memory, sealed, to a uint8 array."""
    return np.frombuffer(seal_program([isa.encode(i, config) for i in instructions], config), np.uint8)


class Image:
    """Appends aligned sections and says where each begins; `parameters` and `weights` are offsets by stage."""

    def __init__(self, stages, config):
        self.sections, self.size = [], 0
        self.parameters, self.weights = [], []
        nothing = np.zeros(0, np.uint8)
        for number, (stage, first) in enumerate(zip(stages, sharing(stages), strict=True)):
            if first < number:
                self.parameters.append(self.parameters[first])
                self.weights.append(self.weights[first])
                continue
            computes = stage.words is not None
            self.parameters.append(self.append(parameter_bytes(stage, config) if computes else nothing))
            self.weights.append(self.append(weight_bytes(stage, config) if computes else nothing))

    def append(self, data):
        """Byte offset of `data` in the image."""
        offset = self.size
        padded = np.pad(data, (0, -len(data) % ALIGNMENT))
        self.sections.append(padded)
        self.size += len(padded)
        return offset

    def finish(self):
        return np.concatenate(self.sections)
