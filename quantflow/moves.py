"""Layers that only choose and move values: the same for floats and integers of any type, maps [N, C, H, W]."""

import numpy as np

from quantflow.windows import folded


def max_pool(layer, x, least):
    """Maximum over the window's taps inside the map, `least` being at most every value."""
    return folded(x, layer.window, np.maximum, least)


def pad(layer, x, value):
    """The map with `value` around it."""
    return np.pad(x, ((0, 0), *zip(layer.before, layer.after, strict=True)), constant_values=value)


def cut(layer, x):
    """What a Slice takes out of the map."""
    parts = zip(layer.start, layer.step, layer.output_shape, strict=True)
    return x[:, *(slice(start, start + (size - 1) * step + 1, step) for start, step, size in parts)].copy()


def reshape(layer, x):
    """The same values in the same order in the output's shape."""
    return x.reshape(-1, *layer.output_shape)
