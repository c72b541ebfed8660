"""Upper bounds of a map, one for each channel or one for all: Min, and Clip without a lower bound."""

from dataclasses import replace

import numpy as np

from quantflow.graph import Activation, Rectified
from quantflow.importer.elementwise import per_channel, with_constant
from quantflow.importer.nodes import Refusal
from quantflow.importer.rewriter import Rewriter
from quantflow.importer.steps import UpperBound

BEHIND = "only behind a Relu, Clip, LeakyRelu or PRelu is an upper bound supported"


def minimum(site):
    """Min of a map and a constant for each channel."""
    site.check_inputs(2, 2)
    site.node.attributes.finish()
    refusal = "does not bound a computed map by a constant; nothing else is supported"
    reads, shape, bounds = with_constant(site, "bound", refusal)
    bounds = per_channel(bounds, shape, "bounds by").astype(np.float32)
    if not (bounds > 0).all():
        raise Refusal(f"has the bound {bounds.min():g}; only positive ones are supported")
    return site.layer(UpperBound, shape, reads=reads, maximum=bounds, refusal=f"is a Min; {BEHIND}"), shape


def fuse_upper_bounds(draft):
    """min(relu(x), m) is the activation of the layer that ends in the ReLU."""
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        host = rewriter.sole_source(step)
        if not isinstance(step, UpperBound):
            rewriter.keep(step)
        elif isinstance(host, Activation) or isinstance(host, Rectified) and host.relu:
            rewriter.keep(replace(host, maximum=_lower(host.maximum, step.maximum)))
            rewriter.drop(step, f"folded into {host.name}")
        else:
            rewriter.refuse(step, step.refusal)
    return rewriter.draft()


def _lower(first, second):
    """The lower of two bounds: a number where all channels have the same."""
    bound = second if first is None else np.minimum(first, second)
    return float(bound.reshape(-1)[0]) if np.unique(bound).size == 1 else bound
