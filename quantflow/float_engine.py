"""The float network on numpy, every multiplication through BLAS: the reference of the fixed-point one."""

import numpy as np

from quantflow.errors import UserError
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool, Pad, Reshape, Slice
from quantflow.windows import windows

COLUMN_BYTES = 1 << 25  # of a convolution's unfolded windows at a time: they should stay near the caches


def run(network, images, *, batch=256):
    """The network's outputs: float32 [N, C, H, W], a network that ends in a dense layer giving [N, F, 1, 1].

    `images` is [N, C, H, W] of any real type (or [N, F] where the input is [F, 1, 1]), computed in
    float32, `batch` at a time. Raises UserError if they do not fit the network or are not finite.
    """
    images = checked_images(network, images)
    parts = [_output(network, images[first : first + batch]) for first in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, *network.output_shape), dtype=np.float32)


def activations(network, images):
    """Every map by the name of its layer, the network's input by its own name: float32 [N, C, H, W] each.

    All of them stay in memory: give a batch at a time. Errors as for `run`.
    """
    maps = {network.input_name: checked_images(network, images)}
    for layer in network.layers:
        maps[layer.name] = apply(layer, *(maps[name] for name in layer.inputs))
    return maps


def checked_images(network, images):
    """`images` as float32 [N, C, H, W]; raises UserError if they do not fit the network."""
    images = np.asarray(images)
    shape = network.input_shape
    if images.ndim == 2 and shape[1:] == (1, 1):
        images = images[:, :, None, None]
    if images.ndim != 4 or images.shape[1:] != shape:
        given, expected = (", ".join(map(str, sizes)) for sizes in (images.shape, ("N", *shape)))
        raise UserError(f"the images have the shape [{given}]; network {network.name!r} expects [{expected}]")
    if images.dtype.kind not in "fiub":
        raise UserError(f"the images are of type {images.dtype}; real numbers are expected")
    with np.errstate(over="ignore"):
        images = np.ascontiguousarray(images, dtype=np.float32)
    if not np.isfinite(images).all():
        raise UserError("the images hold a NaN or an infinity in float32; finite numbers are expected")
    return images


def _output(network, images):
    """The last layer's map, each earlier map being dropped after its last reader."""
    last_reader = {name: layer.name for layer in network.layers for name in layer.inputs}
    maps = {network.input_name: images}
    for layer in network.layers:
        maps[layer.name] = apply(layer, *(maps[name] for name in layer.inputs))
        for name in set(layer.inputs):
            if last_reader[name] == layer.name:
                del maps[name]
    return maps[network.layers[-1].name]


def apply(layer, *maps):
    """The output map [N, C', H', W'] of one layer for the maps [N, C, H, W] of its inputs, all float32."""
    return _APPLY[type(layer)](layer, *maps)


def _convolution(layer, x):
    if layer.groups == 1:
        output = _correlation(layer, layer.weight, x)
    elif layer.weight.shape[1] == 1:
        output = _depthwise(layer, x)
    else:
        parts = zip(np.split(layer.weight, layer.groups), np.split(x, layer.groups, axis=1), strict=True)
        output = np.concatenate([_correlation(layer, weight, part) for weight, part in parts], axis=1)
    output += layer.bias[:, None, None]
    return _rectified(layer, output)


def _correlation(layer, weight, x):
    """[N, O, H', W'] from weights [O, C, kh, kw] and maps [N, C, H, W]."""
    height, width = layer.output_shape[1:]
    weight = weight.reshape(len(weight), -1)
    output = np.empty((len(x), len(weight), height * width), dtype=np.float32)
    step = max(1, COLUMN_BYTES // (4 * weight.shape[1] * height * width))
    for first in range(0, len(x), step):
        taps = windows(x[first : first + step], layer.window, 0)
        # [C, kh, kw, N, H', W']: one multiplication for all images.
        columns = taps.transpose(1, 2, 3, 0, 4, 5).reshape(weight.shape[1], -1)
        sums = weight @ columns
        output[first : first + step] = sums.reshape(len(weight), len(taps), -1).swapaxes(0, 1)
    return output.reshape(len(x), -1, height, width)


def _depthwise(layer, x):
    """One input channel for each output channel: a sum over the window's taps, without multiplying matrices."""
    x = np.repeat(x, len(layer.weight) // layer.groups, axis=1)
    taps = windows(x, layer.window, 0)
    output = np.zeros((len(x), *layer.output_shape), dtype=np.float32)
    for row, column in np.ndindex(*layer.window.kernel):
        output += taps[:, :, row, column] * layer.weight[:, 0, row, column, None, None]
    return output


def _dense(layer, x):
    output = x.reshape(len(x), layer.weight.shape[1]) @ layer.weight.T
    output += layer.bias
    return _rectified(layer, output).reshape(-1, *layer.output_shape)


def _rectified(layer, output):
    return np.clip(output, 0, layer.maximum, out=output) if layer.relu else output


def _max_pool(layer, x):
    taps = windows(x, layer.window, -np.inf)
    output = taps[:, :, 0, 0].copy()
    for row, column in np.ndindex(*layer.window.kernel):
        np.maximum(output, taps[:, :, row, column], out=output)
    return output


def _average_pool(layer, x):
    taps = windows(x, layer.window, 0)
    sums = np.zeros((len(x), *layer.output_shape))
    for row, column in np.ndindex(*layer.window.kernel):
        sums += taps[:, :, row, column]
    return _rectified(layer, (sums / _tap_count(layer)).astype(np.float32))


def _tap_count(layer):
    """Number of taps that an average counts: everywhere the same, or [H', W']."""
    if layer.count_include_pad:
        return layer.window.kernel[0] * layer.window.kernel[1]
    ones = np.ones((1, 1, *layer.input_shape[1:]), dtype=np.float32)
    return windows(ones, layer.window, 0).sum(axis=(2, 3))[0, 0]


def _add(layer, a, b):
    return _rectified(layer, a + b)


def _concat(layer, *maps):
    return np.concatenate(maps, axis=1)


def _slice(layer, x):
    parts = zip(layer.start, layer.step, layer.output_shape, strict=True)
    return x[:, *(slice(start, start + (size - 1) * step + 1, step) for start, step, size in parts)].copy()


def _pad(layer, x):
    return np.pad(x, ((0, 0), *zip(layer.before, layer.after, strict=True)), constant_values=layer.value)


def _reshape(layer, x):
    return x.reshape(-1, *layer.output_shape)


def _activation(layer, x):
    return np.where(x < 0, x * layer.slope[:, None, None], np.minimum(x, np.float32(layer.maximum or np.inf)))


_APPLY = {
    Activation: _activation,
    Add: _add,
    AveragePool: _average_pool,
    Concat: _concat,
    Convolution: _convolution,
    Dense: _dense,
    MaxPool: _max_pool,
    Pad: _pad,
    Reshape: _reshape,
    Slice: _slice,
}
