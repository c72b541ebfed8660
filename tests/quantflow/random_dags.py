"""Random networks with branches: convolutions of all kinds, poolings, averages, additions, concatenations."""

import numpy as np

from tests.quantflow.networks import RandomNetwork

KINDS = ("convolution", "convolution", "grouped", "depthwise", "pool", "average", "slice", "pad")
KINDS += ("add", "concat", "residual")  # of two maps


def random_dag(seed, *, activation_bits=8, weight_bits=8):
    """The RandomNetwork of a seed; some of its maps are read by several layers, some by none."""
    bits = {"activation_bits": activation_bits, "weight_bits": weight_bits}
    return grow(seed, np.random.default_rng(seed), ((1, 10), (5, 20), (5, 20)), (2, 8), **bits)


def grow(seed, random, sizes, layers, **bits):
    """A RandomNetwork with integers of that seed; `random` draws all else, as numpy's generators do.

    `sizes`, of the image, and `layers` are pairs of the least and of the first number that is too large.
    """
    shape = tuple(int(random.integers(*limits)) for limits in sizes)
    network = RandomNetwork(seed, shape, **bits, vary=True)
    names = ["image"]
    for _ in range(int(random.integers(*layers))):
        source = names[-1] if random.random() < 0.7 else names[int(random.integers(len(names)))]
        _append(network, random, names, source, KINDS[int(random.integers(len(KINDS)))])
        names.append(network.last)
    return network.dense(int(random.integers(1, 30))) if random.random() < 0.5 else network


def _append(network, random, names, source, kind):
    channels, height, width = network.shape_of(source)
    relu = bool(random.random() < 0.6)
    if kind in ("add", "concat", "residual"):
        _join(network, random, names, source, kind, relu)
        return
    if kind in ("slice", "pad"):
        _move(network, random, source, kind)
        return
    kernel = tuple(int(random.integers(1, min(4, size) + 1)) for size in (height, width))
    stride = tuple(int(random.integers(1, 4)) for _ in range(2))
    padding = tuple(int(random.integers(0, size)) for size in kernel * 2)
    if kind == "pool":
        plain = random.random() < 0.5
        network.pool(kernel, kernel if plain else stride, (0,) * 4 if plain else padding, source=source)
    elif kind == "average":
        network.average_pool(kernel, stride, padding, include_pad=bool(random.random() < 0.5), source=source)
    else:
        groups, outputs = 1, int(random.integers(1, 20))
        if kind == "depthwise":
            groups = outputs = channels
        if kind == "grouped":
            groups = int(random.choice([n for n in range(1, channels + 1) if channels % n == 0]))
            outputs = groups * int(random.integers(1, 4))
        network.convolution(outputs, kernel, stride, padding, relu, groups=groups, source=source)


def _join(network, random, names, source, kind, relu):
    """Layers of two maps; the second one is made where there is none that fits."""
    shape = network.shape_of(source)
    same = shape[1:] if kind == "concat" else shape
    others = [name for name in names if name != source and network.shape_of(name)[-len(same) :] == same]
    square = {"kernel": (3, 3), "padding": (1, 1, 1, 1), "relu": relu}
    if not others:
        network.convolution(shape[0], source=source, **square)
        names.append(network.last)
        others, source = [source], network.last
    other = others[int(random.integers(len(others)))]
    if kind == "add":
        network.add(other, relu, source=source)
    elif kind == "concat":
        network.concat(other, source=source)
    else:
        network.convolution(shape[0], source=source, residual=other, **square)


def _move(network, random, source, kind):
    """Part of a map, or zeros around it, and a convolution that reads it with padding of its own."""
    shape = network.shape_of(source)
    if kind == "pad":
        network.pad(*(tuple(int(n) for n in random.integers(0, 3, 3) * (0, 1, 1)) for _ in range(2)), source=source)
    else:
        start = tuple(int(random.integers(0, (size + 1) // 2)) for size in shape)
        size = tuple(int(random.integers(1, whole - low + 1)) for whole, low in zip(shape, start, strict=True))
        network.slice((0, *start[1:]), (shape[0], *size[1:]), source=source)
    network.convolution(int(random.integers(1, 9)), (3, 3), padding=(1, 1, 1, 1))
