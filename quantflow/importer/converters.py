"""One function per ONNX operator: a node becomes a step, or raises Refusal with the reason.

Each returns (step, shape): shape is that of the output without the batch, (C, H, W) or (F,). What can
be refused without knowing the input's shape is refused before asking for it. Those that multiply
matrices are here, the others in their own modules.
"""

import math

import numpy as np

from quantflow.graph import Convolution, Dense
from quantflow.importer import activations, bounds, elementwise, host, layout, pooling
from quantflow.importer.nodes import Refusal, shown, with_batch
from quantflow.importer.window import draft_window


def convolution(site):
    """Conv: two-dimensional, of any groups and dilation."""
    attributes = site.node.attributes
    site.check_inputs(2, 3)
    weight = site.constant(1, "weight")
    if weight.ndim != 4:
        raise Refusal(
            f"has a weight of shape {shown(weight.shape)}; only two-dimensional convolution, "
            f"[O, C, height, width], is supported"
        )
    groups = attributes.integer("group", 1)
    if groups < 1 or weight.shape[0] % groups:
        raise Refusal(f"has group {groups}, which does not divide the {weight.shape[0]} channels that it makes")
    kernel = attributes.integers("kernel_shape", 2, weight.shape[2:], 1)
    if kernel != weight.shape[2:]:
        raise Refusal(f"has kernel_shape {shown(kernel)}, but a weight of shape {shown(weight.shape)}")
    draft = draft_window(attributes, kernel)
    attributes.finish()
    channels = weight.shape[0]
    bias = site.vector(2, "bias", channels) if site.node.input(2) else np.zeros(channels)
    shape = site.map_shape()
    if shape[0] != weight.shape[1] * groups:
        raise Refusal(
            f"has a weight of shape {shown(weight.shape)} for {weight.shape[1] * groups} channels, but reads "
            f"{with_batch(shape)}"
        )
    window, sizes = draft.place(shape)
    output = (channels, *sizes)
    fields = {"window": window, "weight": weight, "bias": bias.astype(np.float32), "groups": groups}
    return site.layer(Convolution, output, **fields), output


def _dense(site, weight, bias, factor=1.0):
    """Dense from factor * weight [O, F] and bias [O]."""
    features = site.feature_count()
    if weight.shape[1] != features:
        raise Refusal(f"has a weight for {weight.shape[1]} features, but reads {with_batch((features,))}")
    with np.errstate(over="ignore"):
        if factor != 1:  # in float64, but never the whole matrix: it may be hundreds of megabytes
            scaled = np.empty(weight.shape, np.float32)
            weight = np.multiply(weight, factor, out=scaled, dtype=np.float64, casting="unsafe")
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
    return weight


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
    weight = weight if trans_b else weight.T
    bias = np.zeros(weight.shape[0])
    if site.node.input(2):
        bias = beta * elementwise.per_channel(site.constant(2, "bias"), bias.shape)
    return _dense(site, weight, bias, alpha)


def matmul(site):
    """MatMul of [N, F] with a constant [F, O]."""
    site.check_inputs(2, 2)
    weight = _matrix(site, 1)
    site.node.attributes.finish()
    return _dense(site, weight.T, np.zeros(weight.shape[1]))


CONVERTERS = {
    "Add": elementwise.add,
    "ArgMax": host.argmax,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": elementwise.batch_normalization,
    "Clip": activations.clip,
    "Concat": layout.concat,
    "Conv": convolution,
    "Dropout": layout.dropout,
    "Flatten": layout.flatten,
    "Gemm": gemm,
    "GlobalAveragePool": pooling.global_average_pool,
    "GlobalMaxPool": pooling.global_max_pool,
    "Identity": layout.identity,
    "LeakyRelu": activations.leaky_relu,
    "LogSoftmax": host.softmax,
    "MatMul": matmul,
    "MaxPool": pooling.max_pool,
    "Min": bounds.minimum,
    "Mul": elementwise.multiply,
    "PRelu": activations.prelu,
    "Pad": layout.pad,
    "ReduceMean": pooling.reduce_mean,
    "Relu": activations.relu,
    "Reshape": layout.reshape,
    "Slice": layout.slice_,
    "Softmax": host.softmax,
    "Split": layout.split,
    "Squeeze": layout.squeeze,
    "Sum": elementwise.add,
    "Transpose": layout.transpose,
    "Unsqueeze": layout.unsqueeze,
}
