"""The shape of each kind of layer's output, as it follows from the inputs'; what contradicts it is refused.

Every function takes the layer's record, the values of its entries by name, the inputs' [C, H, W] and the
output's as the file has it, and returns the output's as it must be.
"""

import math

import numpy as np

MAX_MAP = 1 << 28  # values of one image's map with its padding, beyond any machine


def _windowed(record, values, shape):
    """The output's (height, width) of a window over a map [C, H, W]."""
    window, (channels, height, width) = values["window"], shape
    top, left, bottom, right = window.padding
    if channels * (height + top + bottom) * (width + left + right) > MAX_MAP:
        record.fail(f"window: padding makes a map of more than {MAX_MAP} values")
    size = window.output_size(height, width)
    if min(size) < 1:
        record.fail(f"window: a kernel of {list(window.kernel)} does not fit in a map of {height}x{width}")
    return size


def pooled(record, values, inputs, output):
    """Channels stay; every window has a tap inside the map."""
    window, shape = values["window"], inputs[0]
    size = _windowed(record, values, shape)
    if not all(pad < extent for pad, extent in zip(window.padding, window.extent * 2, strict=True)):
        record.fail(f"window: padding is smaller than the kernel {list(window.extent)}, not {list(window.padding)}")
    for axis in (0, 1):
        taps, step, stride = window.kernel[axis], window.dilation[axis], window.stride[axis]
        # A window that begins in the padding: its first tap behind the map's edge must be one, and in the map.
        starts = np.arange(-window.padding[axis], 0, stride)[: size[axis]]
        first = -(starts // step)
        last_start = (size[axis] - 1) * stride - window.padding[axis]
        lost = (first >= taps) | (starts + first * step >= shape[1 + axis])
        if lost.any() or last_start >= shape[1 + axis]:
            record.fail("window: it lies over padding alone somewhere, where there is nothing to pool")
    return (shape[0], *size)


def convolved(record, values, inputs, output):
    """The groups divide the channels, and a second input is of the output's shape."""
    channels, outputs, groups = inputs[0][0], output[0], values["groups"]
    if channels % groups or outputs % groups:
        record.fail(f"groups divides {channels} input and {outputs} output channels, which {groups} does not")
    shape = (outputs, *_windowed(record, values, inputs[0]))
    if len(inputs) == 2 and inputs[1] != shape:
        record.fail(f"the map it adds has the output's shape {list(shape)}, not {list(inputs[1])}")
    return shape


def added(record, values, inputs, output):
    """Both maps are of one shape."""
    if inputs[0] != inputs[1]:
        record.fail(f"its inputs are of one shape, not {list(inputs[0])} and {list(inputs[1])}")
    return inputs[0]


def joined(record, values, inputs, output):
    """Channels add up."""
    for shape in inputs:
        if shape[1:] != inputs[0][1:]:
            record.fail(f"its inputs differ in their channels only, not as {list(inputs[0])} and {list(shape)}")
    return (sum(shape[0] for shape in inputs), *inputs[0][1:])


def cut(record, values, inputs, output):
    """What is taken lies inside the map; how much that is, only the file says."""
    parts = zip(values["start"], values["step"], output, inputs[0], strict=True)
    if any(start + (size - 1) * step >= extent for start, step, size, extent in parts):
        record.fail(f"start, step and output_shape reach outside a map of {list(inputs[0])}")
    return output


def padded(record, values, inputs, output):
    """The map and what is around it."""
    return tuple(map(sum, zip(values["before"], inputs[0], values["after"], strict=True)))


def reshaped(record, values, inputs, output):
    """As many values; how they are arranged, only the file says."""
    if math.prod(output) != math.prod(inputs[0]):
        record.fail(f"output_shape has as many values as {list(inputs[0])}, which {list(output)} has not")
    return output


def same(record, values, inputs, output):
    """The input's."""
    return inputs[0]


def dense(record, values, inputs, output):
    """One pixel."""
    return (output[0], 1, 1)
