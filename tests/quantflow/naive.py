"""The integer engine's arithmetic once more, in Python's own integers and fractions, pixel by pixel.

A map is nested lists [channel][row][column]. Values are exact until the one rounding; nothing of the engine is
called. Slow, and meant to be read.
"""

from fractions import Fraction
from itertools import product

from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool, Pad, Reshape, Slice

SLOPE_BITS = 8


def naive_maps(quantized, image):
    """Every map of one image, by name."""
    maps = {quantized.network.input_name: image}
    for layer in quantized.network.layers:
        maps[layer.name] = naive_layer(quantized, layer, *(maps[name] for name in layer.inputs))
    return maps


def naive_layer(quantized, layer, *maps):
    """One layer's output map from those of its inputs."""
    if type(layer) in MOVES:
        format = quantized.output_format(layer.inputs[0])
        return filled(layer.output_shape, MOVES[type(layer)](layer, maps[0], format))
    output = quantized.output_format(layer.name)
    value = exact_value(quantized, layer, *maps)
    return filled(layer.output_shape, lambda *place: rounded(layer, value(*place), output))


def exact_value(quantized, layer, *maps):
    """What a layer that rounds would give if it did not: a function of channel, row and column to a Fraction."""
    formats = [quantized.output_format(name) for name in layer.inputs]
    if type(layer) in (Convolution, Dense):
        residual = (maps[1], formats[1]) if len(maps) > 1 else None
        return weighted(quantized.layers[layer.name], layer, maps[0], formats[0], residual)
    values = [scaled(x, format) for x, format in zip(maps, formats, strict=True)]
    return VALUES[type(layer)](layer, *values)


def rounded(layer, value, format):
    """An exact value in the output's format: Python rounds a Fraction to nearest, ties to even."""
    integer = in_units(value, format.fl)
    if getattr(layer, "relu", False):
        integer = max(integer, 0)
    if getattr(layer, "maximum", None) is not None:
        integer = min(integer, clipped(in_units(Fraction(float(layer.maximum)), format.fl), format))
    return clipped(integer, format)


def clipped(integer, format):
    low = -(2 ** (format.bits - 1)) if format.signed else 0
    return min(max(integer, low), low + 2**format.bits - 1)


def in_units(value, fl):
    return round(value * Fraction(2) ** int(fl))


def filled(shape, value):
    channels, rows, columns = shape
    return [[[value(o, i, j) for j in range(columns)] for i in range(rows)] for o in range(channels)]


def scaled(x, format):
    """The map's exact values."""
    return [[[Fraction(q) / Fraction(2) ** int(format.fl) for q in row] for row in channel] for channel in x]


def taps(layer, row, column):
    """Where the window of one output pixel lies: (kernel row, kernel column, row, column), outside the map too."""
    window = layer.window
    for i, j in product(range(window.kernel[0]), range(window.kernel[1])):
        y = row * window.stride[0] - window.padding[0] + i * window.dilation[0]
        yield i, j, y, column * window.stride[1] - window.padding[1] + j * window.dilation[1]


def inside(layer, row, column):
    _, height, width = layer.input_shape
    return [tap for tap in taps(layer, row, column) if 0 <= tap[2] < height and 0 <= tap[3] < width]


def weighted(entry, layer, x, format, residual):
    """The exact value of an output of a Convolution or Dense, the integers of `entry` being at its own fl."""

    def value(o, row, column):
        fl = int(format.fl + entry.weight_fl[o])
        total = products(o, row, column) / Fraction(2) ** fl
        if residual is not None:
            other, other_format = residual
            total += Fraction(other[o][row][column]) / Fraction(2) ** int(other_format.fl)
            fl = max(fl, int(other_format.fl))
        return total + int(entry.bias[o]) / Fraction(2) ** fl

    def products(o, row, column):
        if isinstance(layer, Dense):
            flat = [q for channel in x for line in channel for q in line]
            return sum(int(w) * q for w, q in zip(entry.weight[o], flat, strict=True))
        channels = entry.weight.shape[1]
        first = o * layer.groups // len(entry.weight) * channels
        return sum(
            int(entry.weight[o, c, i, j]) * x[first + c][y][z]
            for i, j, y, z in inside(layer, row, column)
            for c in range(channels)
        )

    return value


def concatenated(layer, *maps):
    channels = [channel for x in maps for channel in x]
    return lambda o, row, column: channels[o][row][column]


def average(layer, x):
    def value(o, row, column):
        found = inside(layer, row, column)
        count = layer.window.kernel[0] * layer.window.kernel[1] if layer.count_include_pad else len(found)
        return sum(x[o][y][z] for _, _, y, z in found) / count

    return value


def activation(layer, x):
    slopes = naive_slopes(layer)

    def value(o, row, column):
        v = x[o][row][column]
        return v if v >= 0 else v * slopes[o]

    return value


def naive_slopes(layer):
    """The slopes as the integer side has them, at their fl."""
    low, high = -(2 ** (SLOPE_BITS - 1)), 2 ** (SLOPE_BITS - 1) - 1
    fl = naive_slope_fl(layer)
    integers = [min(max(in_units(Fraction(float(slope)), fl), low), high) for slope in layer.slope]
    return [Fraction(q, 2**fl) for q in integers]


def naive_slope_fl(layer):
    """The largest fl in 0 to 16 at which no slope overflows 8 bits."""
    if not any(layer.slope):
        return SLOPE_BITS - 1
    low, high = -(2 ** (SLOPE_BITS - 1)), 2 ** (SLOPE_BITS - 1) - 1
    exact = [Fraction(float(slope)) for slope in layer.slope]
    return max((fl for fl in range(17) if all(low <= in_units(slope, fl) <= high for slope in exact)), default=0)


def largest(layer, x, format):
    return lambda o, row, column: max(x[o][y][z] for _, _, y, z in inside(layer, row, column))


def padded(layer, x, format):
    # Far enough beyond every format, and finite where the value may not be.
    around = clipped(in_units(Fraction(min(max(layer.value, -1e30), 1e30)), format.fl), format)

    def value(*place):
        c, y, z = (at - before for at, before in zip(place, layer.before, strict=True))
        within = all(0 <= at < size for at, size in zip((c, y, z), layer.input_shape, strict=True))
        return x[c][y][z] if within else around

    return value


def reshaped(layer, x, format):
    flat = [q for channel in x for line in channel for q in line]
    _, rows, columns = layer.output_shape
    return lambda o, row, column: flat[(o * rows + row) * columns + column]


def sliced(layer, x, format):
    def value(*place):
        c, y, z = (a + b * c for a, b, c in zip(layer.start, layer.step, place, strict=True))
        return x[c][y][z]

    return value


MOVES = {MaxPool: largest, Pad: padded, Reshape: reshaped, Slice: sliced}
VALUES = {
    Activation: activation,
    Add: lambda layer, a, b: lambda o, row, column: a[o][row][column] + b[o][row][column],
    AveragePool: average,
    Concat: concatenated,
}
