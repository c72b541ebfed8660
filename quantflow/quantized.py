"""The tuned network: a float network's structure with integers in place of its numbers.

A layer has weights (Convolution, Dense), or it has none but makes values that need a format of their own
(Add, AveragePool, Concat, Activation), or it only moves values and keeps its input's format.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from quantflow.arithmetic import Format
from quantflow.graph import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    Dense,
    MaxPool,
    Network,
    Pad,
    Reshape,
    Slice,
)
from quantflow.representation import Represented

WEIGHTED = (Convolution, Dense)
REQUANTIZED = (Activation, Add, AveragePool, Concat)  # without weights, with a format of their own
MOVING = (MaxPool, Pad, Reshape, Slice)  # keep their input's format


def formatted_maps(network):
    """Names of the maps of a Network that have a format of their own: the input's first, then the layers'."""
    return [network.input_name, *(layer.name for layer in network.layers if not isinstance(layer, MOVING))]


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedLayer:
    """The integers of one convolution or fully connected layer.

    acc = sum(x_q * weight) + bias, and with a residual input + (r_q << (accumulator fl - residual fl)), has
    fractional length `input fl + weight_fl[o]`, at least the residual's; the output is
    `clip(round_half_even_shift(acc, accumulator fl[o] - output.fl))` to the range of `output` and of the layer's
    activation; see `quantflow/accumulation.py`.
    """

    name: str  # of the layer in the float network
    weight_bits: int
    weight: np.ndarray = field(repr=False)  # int32, shaped like the float weight
    weight_fl: np.ndarray  # int32 [O]: fractional length of each output channel's weights
    bias: np.ndarray = field(repr=False)  # int64 [O], at the accumulator's fractional length
    output: Format

    @cached_property
    def weight_sums(self):
        """Sums of each output channel's positive and of its negative weights: int64 [O] both."""
        weight = self.weight.reshape(len(self.weight), -1).astype(np.int64)
        return np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class QuantizedNetwork(Represented):
    """A network and its integers: an entry in `layers` or in `formats` for all but the MOVING layers."""

    network: Network
    input: Format
    layers: dict[str, QuantizedLayer]  # of the layers with weights, by name
    formats: dict[str, Format] = field(default_factory=dict)  # of the outputs of REQUANTIZED layers, by name
    # How it was chosen (method, steps, calibration images, ...), in what JSON knows: kept in the file, no part
    # of the arithmetic.
    tuning: dict = field(default_factory=dict)
    edits: tuple[str, ...] = ()  # what `tuned_file.load` found set by hand, a sentence each

    @property
    def by_hand(self):
        """A sentence for every choice that a person made in the tuner's place, in the order they were made."""
        return (*self.tuning.get("by_hand", ()), *self.edits)

    def output_format(self, name):
        """Format of the map that layer `name` (or the network's input) produces."""
        while name not in self.layers and name not in self.formats:
            if name == self.network.input_name:
                return self.input
            name = self.network[name].inputs[0]
        return self.layers[name].output if name in self.layers else self.formats[name]

    def _table(self):
        from quantflow.choices import choices  # which imports this module
        from quantflow.tables import CHOICES, choice_cells

        entries = [entry.to_json() for entry in choices(self)]
        rows = [[entry["name"], entry["kind"], *choice_cells(entry)] for entry in entries]
        size = sum(entry["parameter_bytes"] or 0 for entry in entries)
        return f"QuantizedNetwork {self.network.name}: {size:,} bytes of parameters", ["layer", "kind", *CHOICES], rows
