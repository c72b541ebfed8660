"""The float network on numpy, every multiplication through BLAS: the reference of the fixed-point one."""

import numpy as np

from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool
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
        maps[layer.name] = apply(layer, maps[layer.inputs[0]])
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
        maps[layer.name] = apply(layer, maps[layer.inputs[0]])
        for name in set(layer.inputs):
            if last_reader[name] == layer.name:
                del maps[name]
    return maps[network.layers[-1].name]


def apply(layer, x):
    """The output map [N, C', H', W'] of one layer for its input map [N, C, H, W], both float32."""
    return _APPLY[type(layer)](layer, x)


def _convolution(layer, x):
    channels, height, width = layer.output_shape
    weight = layer.weight.reshape(channels, -1)
    output = np.empty((len(x), channels, height * width), dtype=np.float32)
    step = max(1, COLUMN_BYTES // (4 * weight.shape[1] * height * width))
    for first in range(0, len(x), step):
        taps = windows(x[first : first + step], layer.window, 0)
        # [C, kh, kw, N, H', W']: one multiplication for all images.
        columns = taps.transpose(1, 2, 3, 0, 4, 5).reshape(weight.shape[1], -1)
        sums = weight @ columns
        output[first : first + step] = sums.reshape(channels, len(taps), -1).swapaxes(0, 1)
    output += layer.bias[:, None]
    return _rectified(layer, output).reshape(-1, *layer.output_shape)


def _dense(layer, x):
    output = x.reshape(len(x), layer.weight.shape[1]) @ layer.weight.T
    output += layer.bias
    return _rectified(layer, output).reshape(-1, *layer.output_shape)


def _rectified(layer, output):
    return np.maximum(output, 0, out=output) if layer.relu else output


def _max_pool(layer, x):
    taps = windows(x, layer.window, -np.inf)
    output = taps[:, :, 0, 0].copy()
    for row, column in np.ndindex(*layer.window.kernel):
        np.maximum(output, taps[:, :, row, column], out=output)
    return output


_APPLY = {Convolution: _convolution, Dense: _dense, MaxPool: _max_pool}
