"""One function per ONNX operator: a node becomes a step, or raises Refusal with the reason.

Each returns (step, shape): shape is that of the output without the batch, (C, H, W) or (F,). What can
be refused without knowing the input's shape is refused before asking for it.
"""

import math

import numpy as np
from onnx import TensorProto

from quantflow.graph import Convolution, Dense, MaxPool, Window
from quantflow.importer.nodes import Refusal, shown, with_batch
from quantflow.importer.site import check_size
from quantflow.importer.steps import ChannelAffine, Flattening, Passage, Rectifier


def _window(attributes, kernel):
    """The Window of Conv or MaxPool; refuses auto_pad and dilations."""
    attributes.only("auto_pad", attributes.text("auto_pad", "NOTSET"), "NOTSET")
    attributes.only("dilations", attributes.integers("dilations", 2, (1, 1), 1), (1, 1))
    top, left, bottom, right = attributes.integers("pads", 4, (0, 0, 0, 0), 0)
    return Window(
        kernel=kernel,
        stride=attributes.integers("strides", 2, (1, 1), 1),
        padding=(top, left, bottom, right),
    )


def _output_shape(window, channels, shape):
    top, left, bottom, right = window.padding
    check_size((shape[0], shape[1] + top + bottom, shape[2] + left + right), "reads a padded map")
    height, width = window.output_size(*shape[1:])
    if height < 1 or width < 1:
        raise Refusal(
            f"has a kernel of {shown(window.kernel)}, larger than its padded input of shape "
            f"{with_batch(shape)}"
        )
    return (channels, height, width)


def convolution(site):
    """Conv: two-dimensional, one group, no dilation."""
    attributes = site.node.attributes
    site.check_inputs(2, 3)
    weight = site.constant(1, "weight")
    if weight.ndim != 4:
        raise Refusal(
            f"has a weight of shape {shown(weight.shape)}; only two-dimensional convolution, "
            f"[O, C, height, width], is supported"
        )
    attributes.only("group", attributes.integer("group", 1), 1)
    kernel = attributes.integers("kernel_shape", 2, weight.shape[2:], 1)
    if kernel != weight.shape[2:]:
        raise Refusal(f"has kernel_shape {shown(kernel)}, but a weight of shape {shown(weight.shape)}")
    window = _window(attributes, kernel)
    attributes.finish()
    channels = weight.shape[0]
    bias = site.vector(2, "bias", channels) if site.node.input(2) else np.zeros(channels)
    shape = site.map_shape()
    if shape[0] != weight.shape[1]:
        raise Refusal(
            f"has a weight of shape {shown(weight.shape)} for {weight.shape[1]} channels, but reads "
            f"{with_batch(shape)}"
        )
    output = _output_shape(window, channels, shape)
    return site.layer(Convolution, output, window=window, weight=weight, bias=bias.astype(np.float32)), output


def _dense(site, weight, bias, reads=0):
    """Dense from float64 weight [O, F] and bias [O]."""
    features = site.feature_count()
    if weight.shape[1] != features:
        raise Refusal(f"has a weight for {weight.shape[1]} features, but reads {with_batch((features,))}")
    with np.errstate(over="ignore"):
        weight, bias = np.ascontiguousarray(weight, dtype=np.float32), bias.astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise Refusal("has weights that exceed float32 when multiplied by alpha or beta")
    output = (weight.shape[0],)
    return site.layer(Dense, output, weight=weight, bias=bias), output


def _matrix(site, index):
    if site.is_constant(0) and not site.is_constant(index):
        raise Refusal("has its weight as the first factor; only input times weight is supported")
    weight = site.constant(index, "weight")
    if weight.ndim != 2:
        raise Refusal(f"has a weight of shape {shown(weight.shape)}; a matrix is expected")
    return weight.astype(np.float64)


def gemm(site):
    """Gemm: alpha * x * w + beta * c, where x is [N, F] and w and c are constant."""
    attributes = site.node.attributes
    site.check_inputs(2, 3)
    weight = _matrix(site, 1)
    attributes.only("transA", attributes.integer("transA", 0), 0)
    trans_b = attributes.integer("transB", 0)
    if trans_b not in (0, 1):
        raise Refusal(f"has transB {trans_b}; 0 or 1 is expected")
    alpha, beta = attributes.real("alpha", 1.0), attributes.real("beta", 1.0)
    if not (math.isfinite(alpha) and math.isfinite(beta)):
        raise Refusal(f"has alpha {alpha} and beta {beta}; finite numbers are expected")
    attributes.finish()
    weight = alpha * (weight if trans_b else weight.T)
    bias = np.zeros(weight.shape[0])
    if site.node.input(2):
        bias = beta * _per_channel(site.constant(2, "bias").astype(np.float64), bias.shape)
    return _dense(site, weight, bias)


def matmul(site):
    """MatMul of [N, F] with a constant [F, O]."""
    site.check_inputs(2, 2)
    weight = _matrix(site, 1)
    site.node.attributes.finish()
    return _dense(site, weight.T, np.zeros(weight.shape[1]))


def _per_channel(constant, shape):
    """A constant that broadcasts against [N, *shape], reduced to one number per channel."""
    aligned = (1,) * (1 + len(shape) - constant.ndim) + constant.shape
    channels = shape[0]
    if len(aligned) != 1 + len(shape) or any(size != 1 for size in aligned[:1] + aligned[2:]):
        raise Refusal(
            f"adds a constant of shape {shown(constant.shape)} to {with_batch(shape)}; only one number per "
            f"channel is supported"
        )
    if aligned[1] not in (1, channels):
        raise Refusal(f"adds {aligned[1]} numbers to the {channels} channels of {with_batch(shape)}")
    return np.broadcast_to(constant.reshape(-1), (channels,)).copy()


def add(site):
    """Add of a constant: the bias of the layer before."""
    site.check_inputs(2, 2)
    site.node.attributes.finish()
    constants = [index for index in (0, 1) if site.is_constant(index)]
    if len(constants) != 1:
        raise Refusal("does not add a constant to a computed map; only the addition of a bias is supported")
    reads = 1 - constants[0]
    constant = site.constant(constants[0], "bias").astype(np.float64)
    shape = site.known_shape(reads)
    offset = _per_channel(constant, shape)
    scale = np.ones_like(offset)
    return site.layer(ChannelAffine, shape, reads=reads, scale=scale, offset=offset), shape


def batch_normalization(site):
    """BatchNormalization in inference: (x - mean) / sqrt(variance + epsilon) * scale + bias."""
    attributes = site.node.attributes
    site.check_inputs(5, 5)
    attributes.only("training_mode", attributes.integer("training_mode", 0), 0)
    attributes.only("spatial", attributes.integer("spatial", 1), 1)
    epsilon = attributes.real("epsilon", 1e-5)
    attributes.ignore("momentum")
    attributes.finish()
    if any(site.node.outputs[1:]):
        raise Refusal("has the outputs of training; only the first output is supported")
    gamma = site.vector(1, "scale", None)
    bias = site.vector(2, "bias", gamma.size)
    mean = site.vector(3, "mean", gamma.size)
    variance = site.vector(4, "variance", gamma.size)
    least = variance.min()
    if not math.isfinite(epsilon) or least + epsilon <= 0:
        raise Refusal(f"has a variance of {least:g} with epsilon {epsilon:g}; their sum must be positive")
    shape = site.known_shape()
    if shape[0] != gamma.size:
        raise Refusal(f"has {gamma.size} channels, but reads {with_batch(shape)}")
    scale = gamma / np.sqrt(variance + epsilon)
    return site.layer(ChannelAffine, shape, scale=scale, offset=bias - mean * scale), shape


def relu(site):
    """Relu."""
    site.check_inputs(1, 1)
    site.node.attributes.finish()
    shape = site.known_shape()
    return site.layer(Rectifier, shape), shape


def max_pool(site):
    """MaxPool: two-dimensional, padding smaller than the kernel, output sizes rounded down."""
    attributes = site.node.attributes
    site.check_inputs(1, 1)
    if attributes.integers("kernel_shape", 2, None, 1) is None:
        raise Refusal("has no kernel_shape, which must be given")
    attributes.only("ceil_mode", attributes.integer("ceil_mode", 0), 0)
    attributes.only("storage_order", attributes.integer("storage_order", 0), 0)
    window = _window(attributes, attributes.integers("kernel_shape", 2, None, 1))
    attributes.finish()
    top, left, bottom, right = window.padding
    if max(top, bottom) >= window.kernel[0] or max(left, right) >= window.kernel[1]:
        raise Refusal(f"has pads {shown(window.padding)}, as large as its kernel of {shown(window.kernel)}")
    shape = site.map_shape()
    output = _output_shape(window, shape[0], shape)
    return site.layer(MaxPool, output, window=window), output


def _reshaped(site, target_of, words):
    """A step that gives the values another shape: only flattening, or nothing at all, is supported.

    `target_of([N, ...])` is the new shape, None if there is none. Without a fixed batch two sizes show
    whether the new shape follows the batch: a fixed number in its place can equal only one of them.
    """
    shape = site.known_shape()
    batches = (2, 3) if site.batch is None else (site.batch,)
    targets = [target_of([batch, *shape]) for batch in batches]
    flat = (math.prod(shape),)
    for kind, output in ((Passage, shape), (Flattening, flat)):
        if targets == [[batch, *output] for batch in batches]:
            return site.layer(kind, output), output
    raise Refusal(f"{words} of {with_batch(shape)}; only flattening to {with_batch(flat)} is supported")


def flatten(site):
    """Flatten of all but the batch."""
    site.check_inputs(1, 1)
    axis = site.node.attributes.integer("axis", 1)
    site.node.attributes.finish()

    def target_of(shape):
        if not -len(shape) <= axis <= len(shape):
            return None
        split = axis + len(shape) if axis < 0 else axis
        return [math.prod(shape[:split]), math.prod(shape[split:])]

    return _reshaped(site, target_of, f"has axis {axis}, a flattening")


def reshape(site):
    """Reshape to a constant shape that flattens all but the batch."""
    site.check_inputs(2, 2)
    allow_zero = site.node.attributes.integer("allowzero", 0)
    site.node.attributes.finish()
    target = site.constant(1, "shape", TensorProto.INT64)
    if target.ndim != 1:
        raise Refusal(f"has a shape that is itself of shape {shown(target.shape)}; a list is expected")
    target = target.tolist()

    def target_of(shape):
        sizes = list(target)
        for index, size in enumerate(sizes):
            if size == 0 and not allow_zero and index < len(shape):
                sizes[index] = shape[index]
        known = math.prod(size for size in sizes if size != -1)
        if sizes.count(-1) == 1 and known > 0 and math.prod(shape) % known == 0:
            sizes[sizes.index(-1)] = math.prod(shape) // known
        return sizes

    return _reshaped(site, target_of, f"has the target shape {shown(target)} for a value")


def identity(site):
    """Identity."""
    site.check_inputs(1, 1)
    site.node.attributes.finish()
    shape = site.known_shape()
    return site.layer(Passage, shape), shape


def dropout(site):
    """Dropout, which does nothing in inference."""
    site.check_inputs(1, 3)
    site.node.attributes.ignore("ratio", "seed")
    site.node.attributes.finish()
    if site.node.input(2) and site.constant(2, "training_mode", TensorProto.BOOL).any():
        raise Refusal("has training_mode true; only inference is supported")
    shape = site.known_shape()
    return site.layer(Passage, shape), shape


CONVERTERS = {
    "Add": add,
    "BatchNormalization": batch_normalization,
    "Conv": convolution,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "Identity": identity,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Relu": relu,
    "Reshape": reshape,
}
