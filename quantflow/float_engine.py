"""The float network on numpy, every multiplication through BLAS: the reference of the fixed-point one."""

import numpy as np

from quantflow import moves
from quantflow.correlation import correlate, tap_count, tap_sums
from quantflow.errors import UserError
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool, Pad, Reshape, Slice
from quantflow.threads import each, thread_count


def run(network, images, *, batch=32):
    """The network's outputs: float32 [N, C, H, W], a network that ends in a dense layer giving [N, F, 1, 1].

    `images` is [N, C, H, W] of any real type (or [N, F] where the input is [F, 1, 1]), computed in
    float32, at most `batch` at a time in each thread. Raises UserError if they do not fit the network or
    are not finite.
    """
    images = checked_images(network, images)
    batch = max(1, min(batch, -(-len(images) // thread_count())))
    starts = range(0, len(images), batch)
    parts = each(lambda first: _output(network, images[first : first + batch]), starts)
    return np.concatenate(parts) if parts else np.zeros((0, *network.output_shape), dtype=np.float32)


def activations(network, images):
    """Every map by the name of its layer, the network's input by its own name: float32 [N, C, H, W] each.

    All of them stay in memory: give a batch at a time. Errors as for `run`.
    """
    maps = {network.input_name: checked_images(network, images)}
    for layer in network.layers:
        maps[layer.name] = apply(layer, *(maps[name] for name in layer.inputs))
    return maps


def each_map(network, images):
    """Name and map of the network's input and of each layer in turn, as `activations` has them.

    Only what is still to be read stays in memory. Errors as for `run`.
    """
    maps = {network.input_name: checked_images(network, images)}
    yield network.input_name, maps[network.input_name]
    for layer in network.layers:
        maps[layer.name] = apply(layer, *(maps[name] for name in layer.inputs))
        yield layer.name, maps[layer.name]
        for name in network.last_reads[layer.name]:
            del maps[name]


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
    """The last layer's map."""
    for _, output in each_map(network, images):
        pass
    return output


def apply(layer, *maps):
    """The output map [N, C', H', W'] of one layer for the maps [N, C, H, W] of its inputs, all float32."""
    return _APPLY[type(layer)](layer, *maps)


def _convolution(layer, x, residual=None):
    output = correlate(x, layer.weight, layer.window, layer.groups)
    output += layer.bias[:, None, None]
    if residual is not None:
        output += residual
    return _rectified(layer, output)


def _dense(layer, x):
    output = x.reshape(len(x), layer.weight.shape[1]) @ layer.weight.T
    output += layer.bias
    return _rectified(layer, output.reshape(-1, *layer.output_shape))


def _rectified(layer, output):
    return np.clip(output, 0, _upper_bound(layer), out=output) if layer.relu else output


def _upper_bound(layer):
    """The layer's `maximum` as it is broadcast against maps: a number, or an array [C, 1, 1]."""
    if layer.maximum is None:
        return np.inf
    return np.reshape(np.float32(layer.maximum), (-1, 1, 1)) if np.ndim(layer.maximum) else np.float32(layer.maximum)


def _average_pool(layer, x):
    means = tap_sums(layer, x.astype(np.float64)) / tap_count(layer)
    return _rectified(layer, means.astype(np.float32))


def _add(layer, a, b):
    return _rectified(layer, a + b)


def _concat(layer, *maps):
    return np.concatenate(maps, axis=1)


def _activation(layer, x):
    return np.where(x < 0, x * layer.slope[:, None, None], np.minimum(x, _upper_bound(layer)))


_APPLY = {
    Activation: _activation,
    Add: _add,
    AveragePool: _average_pool,
    Concat: _concat,
    Convolution: _convolution,
    Dense: _dense,
    MaxPool: lambda layer, x: moves.max_pool(layer, x, -np.inf),
    Pad: lambda layer, x: moves.pad(layer, x, layer.value),
    Reshape: moves.reshape,
    Slice: moves.cut,
}
