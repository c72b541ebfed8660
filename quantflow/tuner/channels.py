"""Which channels of a network's maps must be scaled alike for its function to stay the same."""

import numpy as np

from quantflow.graph import Add, Concat, Pad, Reshape, Slice
from quantflow.quantized import WEIGHTED


def channel_classes(network):
    """Class numbers int [C] of every map by name, and which classes must not be scaled: bool [classes].

    Two channels are of one class where they are added, or where one is passed on or pooled into the other.
    The network's input and output must not be scaled, nor what is reshaped or padded with other values than 0.
    """
    groups = _Groups()
    numbers = {network.input_name: groups.new(network.input_shape[0])}
    fixed = [numbers[network.input_name]]
    for layer in network.layers:
        sources = [numbers[name] for name in layer.inputs]
        numbers[layer.name] = made = _channels(groups, layer, sources)
        if isinstance(layer, Reshape):
            fixed += [*sources, made]
        if isinstance(layer, Pad) and layer.value != 0:
            fixed.append(made)
    fixed.append(numbers[network.layers[-1].name])
    roots, classes = np.unique([groups.root(number) for number in range(groups.count)], return_inverse=True)
    unscaled = np.zeros(len(roots), dtype=bool)
    for made in fixed:
        unscaled[classes[made]] = True
    return {name: classes[made] for name, made in numbers.items()}, unscaled


def _channels(groups, layer, sources):
    """Numbers of the layer's output channels, those of its inputs being `sources`."""
    source = sources[0]
    if isinstance(layer, WEIGHTED):
        made = groups.new(layer.output_shape[0])
        for residual in sources[1:]:
            groups.unite(made, residual)
        return made
    if isinstance(layer, Add):
        groups.unite(*sources)
    if isinstance(layer, Concat):
        return np.concatenate(sources)
    if isinstance(layer, Slice):
        return source[layer.start[0] :: layer.step[0]][: layer.output_shape[0]]
    if isinstance(layer, Pad):
        return np.concatenate([groups.new(layer.before[0]), source, groups.new(layer.after[0])])
    if isinstance(layer, Reshape):
        return groups.new(layer.output_shape[0])
    return source


class _Groups:
    """Numbers that are united step by step (a union-find)."""

    def __init__(self):
        self._parents = []

    @property
    def count(self):
        return len(self._parents)

    def new(self, count):
        first = self.count
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def root(self, number):
        while self._parents[number] != number:
            number = self._parents[number] = self._parents[self._parents[number]]
        return number

    def unite(self, numbers, others):
        for a, b in zip(numbers, others, strict=True):
            self._parents[self.root(int(a))] = self.root(int(b))
