"""What was chosen for each layer of a tuned network, and what follows from it: widths, fractional lengths, bytes."""

from dataclasses import dataclass

import numpy as np

from quantflow.accumulation import sum_bits
from quantflow.arithmetic import Format
from quantflow.quantized import MOVING
from quantflow.size import bias_bits, parameter_bytes


@dataclass(frozen=True, kw_only=True)
class WeightChoices:
    """A layer's weights and biases."""

    bits: int  # of a weight
    fl: tuple[int, ...]  # of each output channel's weights
    bias_bits: int  # the narrowest width that holds every bias
    bytes: int  # of weights and biases, each at its width
    saturated: float  # share of the weights that are the greatest or the least integer of their width
    zeros: float  # share of the weights that are 0

    def to_json(self):
        """A dict; `weight_fl` is a number where all channels agree."""
        return {
            "weight_bits": self.bits,
            "weight_fl": self.fl[0] if len(set(self.fl)) == 1 else list(self.fl),
            "weight_saturated": self.saturated,
            "weight_zeros": self.zeros,
            "bias_bits": self.bias_bits,
            "parameter_bytes": self.bytes,
        }


NO_WEIGHTS = dict.fromkeys(
    ("weight_bits", "weight_fl", "weight_saturated", "weight_zeros", "bias_bits", "parameter_bytes")
)


@dataclass(frozen=True, kw_only=True)
class LayerChoices:
    """One layer that chooses a format, or the network's input."""

    name: str
    kind: str  # its class in `quantflow.graph`, or "Input"
    output: Format
    weights: WeightChoices | None = None
    accumulator_bits: int | None = None  # that no input can overflow; None for the network's input

    def to_json(self):
        """A dict with every figure; those of weights are null where there are none."""
        return {
            "name": self.name,
            "kind": self.kind,
            **(NO_WEIGHTS if self.weights is None else self.weights.to_json()),
            "activation_bits": self.output.bits,
            "activation_fl": self.output.fl,
            "activation_signed": self.output.signed,
            "accumulator_bits": self.accumulator_bits,
        }


def choices(quantized):
    """The LayerChoices of the network's input and of every layer that chooses a format, in execution order."""
    network = quantized.network
    entries = [LayerChoices(name=network.input_name, kind="Input", output=quantized.input)]
    for layer in network.layers:
        if not isinstance(layer, MOVING):
            entries.append(_layer_choices(quantized, layer))
    return entries


def _layer_choices(quantized, layer):
    return LayerChoices(
        name=layer.name,
        kind=type(layer).__name__,
        output=quantized.output_format(layer.name),
        weights=_weight_choices(quantized.layers[layer.name]) if layer.name in quantized.layers else None,
        accumulator_bits=sum_bits(quantized, layer),
    )


def _weight_choices(quantized_layer):
    weight, high = quantized_layer.weight, 1 << (quantized_layer.weight_bits - 1)
    return WeightChoices(
        bits=quantized_layer.weight_bits,
        fl=tuple(int(fl) for fl in quantized_layer.weight_fl),
        bias_bits=bias_bits(quantized_layer),
        bytes=parameter_bytes(quantized_layer),
        saturated=float(np.mean((weight == high - 1) | (weight == -high))),
        zeros=float(np.mean(weight == 0)),
    )
