"""The integer engine: the golden integers that the hardware must reproduce."""

import math

import numpy as np

from quantflow import moves
from quantflow.accumulation import accumulate, requantize
from quantflow.arithmetic import quantize
from quantflow.graph import MaxPool, Pad, Reshape, Slice
from quantflow.threads import each, thread_count

BATCH_BYTES = 32 << 20  # working memory of one batch in one layer; each thread has its own


def run(quantized, images, keep=True):
    """Quantize `images` (float [N, C, H, W]) with the input format, then as `run_integers`."""
    images = np.asarray(images)
    _check_shape(quantized, images)
    return _run(quantized, len(images), lambda batch: quantize(images[batch], quantized.input), keep)


def run_integers(quantized, q_images, keep=False):
    """Every layer's output integers: layer name to int32 array [N, C, H, W].

    `quantized` is a QuantizedNetwork, `q_images` are integers [N, C, H, W] in the range of
    `quantized.input`. With `keep` the result also holds the input and every inner layer, without it the
    last layer only, in bounded memory. Raises ValueError for images of another shape or out of range.
    """
    q_images = np.asarray(q_images)
    _check_shape(quantized, q_images)
    if not np.issubdtype(q_images.dtype, np.integer):
        raise ValueError(f"quantized images are integers, not {q_images.dtype}")
    return _run(quantized, len(q_images), q_images.__getitem__, keep)


def _run(quantized, count, read, keep):
    """As `run_integers`, `read` giving the integers of a slice of the `count` images."""
    network = quantized.network
    last = network.layers[-1].name
    names = [network.input_name, *(layer.name for layer in network.layers)] if keep else [last]
    shapes = {network.input_name: network.input_shape, **{layer.name: layer.output_shape for layer in network.layers}}
    results = {name: np.empty((count, *shapes[name]), np.int32) for name in names}

    def run_batch(batch):
        maps = _maps(quantized, read(batch), names)
        for name in names:
            results[name][batch] = maps[name]

    each(run_batch, batches(count, max(map(working_bytes, network.layers)), thread_count()))
    return results


def run_layer(quantized, layer, *maps):
    """One layer's output integers from its inputs' [N, C, H, W], held in any type, mostly a float one."""
    move = _MOVES.get(type(layer))
    if move is not None:
        return move(layer, *maps, quantized.output_format(layer.inputs[0]))
    accumulators = accumulate(quantized, layer, *maps)
    return requantize(quantized, layer, accumulators, quantized.output_format(layer.name))


def working_bytes(layer):
    """Memory that one image takes while `layer` is computed, in bytes, beside the unfolded windows.

    That is three values of 8 bytes for each output, of the rounding and comparing, and two for each input.
    """
    return 8 * (3 * math.prod(layer.output_shape) + 2 * len(layer.inputs) * math.prod(layer.input_shape))


def batches(count, image_bytes, parts=1):
    """Slices that cut `count` images into batches of at most BATCH_BYTES, or one image; about `parts` at least."""
    size = max(1, min(BATCH_BYTES // image_bytes, -(-count // parts)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _maps(quantized, x, names):
    """The maps in `names` for one batch; an inner map is dropped after its last reader."""
    _check_range(quantized, x)
    network = quantized.network
    maps = {network.input_name: x.astype(np.float32)}
    for layer in network.layers:
        integers = run_layer(quantized, layer, *(maps[name] for name in layer.inputs))
        maps[layer.name] = integers.astype(np.float32, copy=False)
        for name in network.last_reads[layer.name]:
            if name not in names:
                del maps[name]
    return maps


_MOVES = {
    MaxPool: lambda layer, x, format: moves.max_pool(layer, x, format.min),
    Pad: lambda layer, x, format: moves.pad(layer, x, int(quantize(layer.value, format))),
    Reshape: lambda layer, x, format: moves.reshape(layer, x),
    Slice: lambda layer, x, format: moves.cut(layer, x),
}


def _check_shape(quantized, images):
    shape = quantized.network.input_shape
    if images.ndim != 4 or images.shape[1:] != tuple(shape) or not len(images):
        raise ValueError(f"images are [N, {', '.join(map(str, shape))}] with N >= 1, not {list(images.shape)}")


def _check_range(quantized, q_images):
    low, high = int(q_images.min()), int(q_images.max())
    if low < quantized.input.min or high > quantized.input.max:
        raise ValueError(f"quantized images lie in {quantized.input.min} to {quantized.input.max}, not {low} to {high}")
