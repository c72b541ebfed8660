"""Converters of activation functions."""

import math

import numpy as np

from quantflow.graph import Activation
from quantflow.importer.elementwise import per_channel
from quantflow.importer.nodes import Refusal
from quantflow.importer.steps import Passage, RangeClip, Rectifier, UpperBound

UNBOUNDED = float(np.finfo(np.float32).max)  # as a bound this is none


def relu(site):
    """Relu."""
    site.check_inputs(1, 1)
    site.node.attributes.finish()
    shape = site.known_shape()
    return site.layer(Rectifier, shape), shape


def clip(site):
    """Clip from 0 to a positive bound (ReLU6), from 0 alone (ReLU), of nothing, or to a quantizer's range."""
    attributes = site.node.attributes
    site.check_inputs(1, 3 if site.opset >= 11 else 1)
    if site.opset < 11:
        low, high = attributes.real("min", -UNBOUNDED), attributes.real("max", UNBOUNDED)
    else:
        low, high = _bound(site, 1, "min", -UNBOUNDED), _bound(site, 2, "max", UNBOUNDED)
    attributes.finish()
    shape = site.known_shape()
    if low <= -UNBOUNDED and high >= UNBOUNDED:
        return site.layer(Passage, shape), shape
    if low != 0 or not high > 0:
        refusal = f"has min {low:g} and max {high:g}; only a min of 0 with a positive max is supported"
        if low <= -UNBOUNDED and high > 0:
            maximum = np.broadcast_to(np.float32(high), shape[:1])
            return site.layer(UpperBound, shape, maximum=maximum, refusal=refusal), shape
        if -UNBOUNDED < low < 0 < high < UNBOUNDED:
            return site.layer(RangeClip, shape, low=low, high=high, refusal=refusal), shape
        raise Refusal(refusal)
    return site.layer(Rectifier, shape, maximum=None if high >= UNBOUNDED else high), shape


def _bound(site, index, meaning, default):
    if not site.node.input(index):
        return default
    bound = site.constant(index, meaning)
    if bound.size != 1:
        raise Refusal(f"has {bound.size} numbers as its {meaning}; one is expected")
    return float(bound.reshape(-1)[0])


def leaky_relu(site):
    """LeakyRelu: x where x >= 0, alpha * x elsewhere."""
    site.check_inputs(1, 1)
    alpha = site.node.attributes.real("alpha", 0.01)
    site.node.attributes.finish()
    if not math.isfinite(alpha):
        raise Refusal(f"has alpha {alpha}; a finite number is expected")
    shape = site.known_shape()
    return site.layer(Activation, shape, slope=np.broadcast_to(np.float32(alpha), shape[:1])), shape


def prelu(site):
    """PRelu with a slope for each channel, or one for all."""
    site.check_inputs(2, 2)
    site.node.attributes.finish()
    shape = site.known_shape()
    slope = per_channel(site.constant(1, "slope"), shape, "has a slope of", np.float32)
    return site.layer(Activation, shape, slope=slope), shape
