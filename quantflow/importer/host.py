"""Converters of what stands behind a network and is left to the host: Softmax, LogSoftmax and ArgMax."""

from quantflow.graph import HostOperator
from quantflow.importer.nodes import Refusal, with_batch
from quantflow.importer.steps import HostStep


def softmax(site):
    """Softmax or LogSoftmax: they change no order among the classes."""
    return _host(site, site.node.attributes.integer("axis", -1 if site.opset >= 13 else 1))


def argmax(site):
    """ArgMax."""
    axis = site.node.attributes.integer("axis", 0)
    site.node.attributes.ignore("keepdims", "select_last_index")
    step, _ = _host(site, axis)
    return step, None  # integers: nothing here could read them


def _host(site, axis):
    site.check_inputs(1, 1)
    site.node.attributes.finish()
    shape = site.known_shape()
    rank = 1 + len(shape)
    if not -rank <= axis < rank:
        raise Refusal(f"has axis {axis} for {with_batch(shape)}")
    operator = HostOperator(operator=site.node.operator, name=site.node.name, axis=axis % rank)
    return site.layer(HostStep, shape, operator=operator), shape
