"""Channels scaled by positive factors where they are made, and back where they are read: the same function."""

from dataclasses import replace

import numpy as np

from quantflow.float_engine import each_map
from quantflow.graph import Activation, Rectified
from quantflow.quantized import WEIGHTED

BATCH = 8  # images whose maps lie in memory together


def scale_channels(network, factors):
    """The network with channel c of map `name` times factors[name][c], float64 [C] by map name.

    Channels that meet need one factor together, input and output 1: see `tuner/channels.py`. Powers of two change
    no value but by that factor, exactly; others round each weight to float32 again.
    """
    return replace(network, layers=tuple(_scaled(layer, factors) for layer in network.layers))


def channel_peaks(network, images):
    """The greatest magnitude of each channel of every map by name: float32 [C]."""
    peaks = {}
    for first in range(0, len(images), BATCH):
        for name, x in each_map(network, images[first : first + BATCH]):
            peaks[name] = np.maximum(np.abs(x).max(axis=(0, 2, 3)), peaks.get(name, 0))
    return peaks


def read_channels(layer):
    """Which input channel each output channel reads, in the order of its weights: int [O, C / groups]."""
    groups, outputs = getattr(layer, "groups", 1), len(layer.weight)
    width = layer.input_shape[0] // groups
    return (np.arange(outputs) // (outputs // groups) * width)[:, None] + np.arange(width)


def _scaled(layer, factors):
    """The layer with its channels' factors in its numbers."""
    made, changes = factors[layer.name], {}
    if isinstance(layer, WEIGHTED):
        read = factors[layer.inputs[0]][read_channels(layer)]
        weight = layer.weight.reshape(*read.shape, -1) * (made[:, None] / read)[..., None]
        changes = {"weight": _float32(weight.reshape(layer.weight.shape)), "bias": _float32(layer.bias * made)}
    if isinstance(layer, Rectified | Activation) and layer.maximum is not None:
        changes["maximum"] = _float32(layer.maximum * made)
    return replace(layer, **changes)


def _float32(values):
    """What exceeds float32 becomes infinite, which the tuner reports with the layer's name."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
