"""The integer engine: the golden integers that the hardware must reproduce.

Sums of products of small integers go through BLAS in floating point, which is exact as long as every
partial sum is an integer that the type holds: up to 2**24 in float32, 2**53 in float64. Whether a layer
qualifies is proved from its weights, so the result does not depend on the order BLAS sums in.
"""

import math

import numpy as np

from quantflow.arithmetic import quantize, round_half_even_shift, saturate, signed_bits
from quantflow.capabilities import check_supported
from quantflow.graph import Dense, MaxPool
from quantflow.windows import windows

MAX_ACCUMULATOR_BITS = 48  # the widest accumulator that a machine may have
BATCH_BYTES = 64 << 20  # working memory of one batch in one layer
COLUMN_BYTES = 1 << 25  # of a convolution's unfolded windows at a time: they should stay near the caches
EXACT_FLOAT32 = 1 << 24  # float32 holds every integer up to this magnitude
EXACT_FLOAT64 = 1 << 53  # float64 likewise


def run(quantized, images, keep=True):
    """Quantize `images` (float [N, C, H, W]) with the input format, then `run_integers`."""
    return run_integers(quantized, quantize(images, quantized.input), keep)


def run_integers(quantized, q_images, keep=False):
    """Every layer's output integers: layer name to int32 array [N, C, H, W].

    `quantized` is a QuantizedNetwork, `q_images` are integers [N, C, H, W] in the range of
    `quantized.input`. With `keep` the result also holds the input and every inner layer, without it the
    last layer only, in bounded memory. Raises ValueError for images of another shape or out of range, and
    UserError for a layer that has no integer arithmetic yet.
    """
    check_supported(quantized.network, "the integer engine")
    q_images = np.asarray(q_images)
    _check_images(quantized, q_images)
    network = quantized.network
    last = network.layers[-1].name
    names = [network.input_name, *(layer.name for layer in network.layers)] if keep else [last]
    parts = {name: [] for name in names}
    for batch in batches(len(q_images), max(map(working_bytes, network.layers))):
        maps = _run_batch(quantized, q_images[batch].astype(np.int32), names)
        for name in names:
            parts[name].append(maps[name])
    return {name: np.concatenate(maps) for name, maps in parts.items()}


def run_layer(quantized, layer, x):
    """One layer's output integers, int32, from its input's integers `x` [N, C, H, W]."""
    input_format = quantized.output_format(layer.inputs[0])
    if isinstance(layer, MaxPool):
        return max_pool(layer, x, input_format)
    quantized_layer = quantized.layers[layer.name]
    accumulators = accumulate(layer, quantized_layer, x, input_format)
    return requantize(accumulators, quantized_layer.shift, layer.relu, quantized_layer.output.bits)


def accumulate(layer, quantized_layer, x, input_format):
    """acc = sum(x_q * w_q) + bias_q, exactly: int64 [N, O, OH, OW].

    `layer` is a Convolution or Dense, `x` integers [N, C, H, W] of `input_format`. Raises ValueError
    where even float64 cannot be proved exact.
    """
    dtype = _exact_float(quantized_layer, input_format)
    weight = quantized_layer.weight.reshape(len(quantized_layer.weight), -1).astype(dtype)
    x = x.astype(dtype)
    if isinstance(layer, Dense):
        accumulators = (x.reshape(len(x), -1) @ weight.T).astype(np.int64)[:, :, None, None]
    else:
        accumulators = _convolve(layer, weight, x)
    accumulators += quantized_layer.bias[:, None, None]
    return accumulators


def _convolve(layer, weight, x):
    """int64 [N, O, OH, OW] from weights [O, C * kh * kw] and maps [N, C, H, W] of one float type."""
    sums = np.empty((len(x), *layer.output_shape), dtype=np.int64)
    column_bytes = x.itemsize * weight.shape[1] * layer.output_shape[1] * layer.output_shape[2]
    step = max(1, COLUMN_BYTES // column_bytes)
    for start in range(0, len(x), step):
        taps = windows(x[start : start + step], layer.window, fill=0)
        # [C, kh, kw, N, OH, OW]: one multiplication for all images.
        columns = taps.transpose(1, 2, 3, 0, 4, 5).reshape(weight.shape[1], -1)
        products = (weight @ columns).reshape(len(weight), len(taps), *layer.output_shape[1:])
        sums[start : start + step] = products.swapaxes(0, 1)
    return sums


def requantize(accumulators, shift, relu, bits):
    """saturate(relu?(round_half_even_shift(acc, shift))): int64 [N, O, H, W] to int32 of that shape.

    `shift` holds one right shift per channel [O], each at least 0.
    """
    shift = np.asarray(shift)
    rounded = round_half_even_shift(accumulators, shift[:, None, None])
    if relu:
        rounded = np.maximum(rounded, 0)
    return saturate(rounded, bits).astype(np.int32)


def max_pool(layer, x, format):
    """Maximum over the window's taps inside the map; `x` and the result are integers of `format`."""
    taps = windows(x, layer.window, fill=format.min)
    output = np.full((len(x), *layer.output_shape), format.min, dtype=np.int32)
    for row, column in np.ndindex(*layer.window.kernel):
        np.maximum(output, taps[:, :, row, column], out=output)
    return output


def accumulator_bits(quantized_layer, input_format):
    """Width of an accumulator that no input can overflow, from the layer's real weights and biases.

    Per output channel the worst cases are high = sum over w > 0 of w * max(x) + sum over w < 0 of
    w * min(x), and low with max and min exchanged. As x may be 0, every partial sum in any order lies in
    [low, high], since each further product widens the interval; the bias alone, and the sums with the
    bias added first or last, are covered too.
    """
    weight = quantized_layer.weight.reshape(len(quantized_layer.weight), -1).astype(np.int64)
    positive = np.maximum(weight, 0).sum(axis=1)
    negative = np.minimum(weight, 0).sum(axis=1)
    high = positive * input_format.max + negative * input_format.min
    low = positive * input_format.min + negative * input_format.max
    bias = quantized_layer.bias
    return signed_bits(
        min(int((low + np.minimum(bias, 0)).min()), 0),
        max(int((high + np.maximum(bias, 0)).max()), 0),
    )


def working_bytes(layer):
    """Memory that one image takes while `layer` is computed, in bytes, beside COLUMN_BYTES in all.

    That is six values of 8 bytes for each output, of the rounding and comparing, and two for each input.
    """
    return 8 * (6 * math.prod(layer.output_shape) + 2 * math.prod(layer.input_shape))


def batches(count, image_bytes):
    """Slices that cut `count` images into batches of at most BATCH_BYTES, or one image."""
    size = max(1, BATCH_BYTES // image_bytes)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _run_batch(quantized, x, names):
    """The maps in `names` for one batch; an inner map is dropped after its last reader."""
    network = quantized.network
    last_reader = {name: layer.name for layer in network.layers for name in layer.inputs}
    maps = {network.input_name: x}
    for layer in network.layers:
        maps[layer.name] = run_layer(quantized, layer, maps[layer.inputs[0]])
        for name in set(layer.inputs) - set(names):
            if last_reader[name] == layer.name:
                del maps[name]
    return maps


def _exact_float(quantized_layer, input_format):
    """The narrowest float type in which no partial sum of any output can round.

    Every partial sum of x_q * w_q, in any order, has magnitude at most max over o of
    sum |w_q[o]| * max |x_q|. The bias is added in integers.
    """
    weight = np.abs(quantized_layer.weight.astype(np.int64))
    bound = int(weight.reshape(len(weight), -1).sum(axis=1).max()) * -input_format.min
    if bound <= EXACT_FLOAT32:
        return np.float32
    if bound <= EXACT_FLOAT64:
        return np.float64
    raise ValueError(f"layer {quantized_layer.name} sums up to {bound}, above the 2**53 that float64 holds")


def _check_images(quantized, q_images):
    shape = quantized.network.input_shape
    if q_images.ndim != 4 or q_images.shape[1:] != tuple(shape) or not len(q_images):
        raise ValueError(f"images are [N, {', '.join(map(str, shape))}] with N >= 1, not {list(q_images.shape)}")
    if not np.issubdtype(q_images.dtype, np.integer):
        raise ValueError(f"quantized images are integers, not {q_images.dtype}")
    low, high = int(q_images.min()), int(q_images.max())
    if low < quantized.input.min or high > quantized.input.max:
        raise ValueError(f"quantized images lie in {quantized.input.min} to {quantized.input.max}, not {low} to {high}")
