"""Converters of what acts on each value alone: sums, products and normalizations."""

import math

import numpy as np

from quantflow.graph import Add
from quantflow.importer.nodes import Refusal, shown, with_batch
from quantflow.importer.steps import ChannelAffine


def per_channel(constant, shape, verb="adds", dtype=np.float64):
    """A constant that broadcasts against [N, *shape], reduced to one number per channel.

    One number for all channels takes no memory for each: the map may have any number of channels.
    """
    aligned = (1,) * (1 + len(shape) - constant.ndim) + constant.shape
    channels = shape[0]
    if len(aligned) != 1 + len(shape) or any(size != 1 for size in aligned[:1] + aligned[2:]):
        raise Refusal(
            f"{verb} a constant of shape {shown(constant.shape)} to {with_batch(shape)}; only one number per "
            f"channel is supported"
        )
    if aligned[1] not in (1, channels):
        raise Refusal(f"{verb} {aligned[1]} numbers to the {channels} channels of {with_batch(shape)}")
    return np.broadcast_to(constant.reshape(-1).astype(dtype, copy=False), (channels,))


def with_constant(site, name, refusal):
    """For an operator on a map and a constant: the map's input number, its shape, and the constant, called `name`.

    Refused with `refusal` where not exactly one of the two inputs is a constant.
    """
    constants = [index for index in (0, 1) if site.is_constant(index)]
    if len(constants) != 1:
        raise Refusal(refusal)
    reads = 1 - constants[0]
    constant = site.constant(constants[0], name)
    return reads, site.known_shape(reads), constant


def add(site):
    """Add, or Sum, of a constant, the bias of the layer before; or of two maps of one shape."""
    site.check_inputs(2, 2)
    site.node.attributes.finish()
    if not any(site.is_constant(index) for index in (0, 1)):
        return _sum_of_maps(site)
    refusal = "does not add a constant to a computed map; only the addition of a bias is supported"
    reads, shape, constant = with_constant(site, "bias", refusal)
    offset = per_channel(constant, shape)
    scale = np.broadcast_to(1.0, offset.shape)
    return site.layer(ChannelAffine, shape, reads=reads, scale=scale, offset=offset), shape


def _sum_of_maps(site):
    shapes = [site.known_shape(index) for index in (0, 1)]
    if shapes[0] != shapes[1]:
        raise Refusal(
            f"adds maps of shapes {with_batch(shapes[0])} and {with_batch(shapes[1])}; only equal ones are supported"
        )
    return site.layer(Add, shapes[0], reads=(0, 1)), shapes[0]


def multiply(site):
    """Mul by a constant for each channel."""
    site.check_inputs(2, 2)
    site.node.attributes.finish()
    refusal = "does not multiply a computed map by a constant; nothing else is supported"
    reads, shape, constant = with_constant(site, "factor", refusal)
    scale = per_channel(constant, shape, "multiplies by")
    offset = np.broadcast_to(0.0, scale.shape)
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
