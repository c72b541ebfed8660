"""The tuned network: a float network's structure with integers in place of its numbers."""

from dataclasses import dataclass, field

import numpy as np

from quantflow.arithmetic import Format
from quantflow.graph import Network


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedLayer:
    """The integers of one convolution or fully connected layer.

    acc = sum(x_q * weight) + bias has fractional length `input fl + weight_fl[o]`; the output is
    `saturate(relu?(round_half_even_shift(acc, shift[o])))` with
    `shift[o] = input fl + weight_fl[o] - output.fl >= 0`.
    """

    name: str  # of the layer in the float network
    weight_bits: int
    weight: np.ndarray = field(repr=False)  # int32, shaped like the float weight
    weight_fl: np.ndarray  # int32 [O]: fractional length of each output channel's weights
    bias: np.ndarray = field(repr=False)  # int64 [O], at the accumulator's fractional length
    shift: np.ndarray  # int32 [O], each >= 0
    output: Format


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """A network and its integers. Max pooling layers have no entry: they keep their input's format."""

    network: Network
    input: Format
    layers: dict[str, QuantizedLayer]

    def output_format(self, name):
        """Format of the map that layer `name` (or the network's input) produces."""
        if name == self.network.input_name:
            return self.input
        if name in self.layers:
            return self.layers[name].output
        return self.output_format(self.network[name].inputs[0])
