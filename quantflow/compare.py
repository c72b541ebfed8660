"""Two tunings of one network side by side: choices, integers and, on images, answers."""

import math

import numpy as np

from quantflow.choices import choices
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.size import network_bytes

CHOSEN = ("weight_bits", "weight_fl", "activation_bits", "activation_fl", "activation_signed")


def compare(a, b, names=("A", "B")):
    """Layer by layer what two QuantizedNetworks of one network chose: a dict for JSON.

    For the input and each layer that chooses a format: both networks' `choices`, the names of the choices
    that differ, and of its weight integers how many there are and how many differ. `names` are what messages
    call the two. Raises UserError where the networks are not the same, naming the first difference.
    """
    check_same_network(a.network, b.network, names)
    return {
        "parameter_bytes": {"a": network_bytes(a), "b": network_bytes(b)},
        "layers": [_compare_layer(a, b, *pair) for pair in zip(choices(a), choices(b), strict=True)],
    }


def compare_on(a, b, images, labels=None, *, progress=None):
    """What two tunings of one network answer on `images` [N, C, H, W]: a dict for JSON.

    Both networks' `evaluate` figures; the share of the images for which both name the same class; and where
    only one of the two is right, with the difference of their shares, b less a, and its standard error: for
    the label where `labels` are given, and for the float network's answer. Errors as for `evaluate`.
    """
    first = evaluate(a, images, labels, progress=progress)
    second = evaluate(b, images, labels, progress=progress)
    right = {"float": first.float_answers} | ({} if labels is None else {"labels": np.asarray(labels)})
    return {
        "a": first.to_json(),
        "b": second.to_json(),
        "same_answer": float(np.mean(first.fixed_answers == second.fixed_answers)),
        "paired": {
            name: paired_difference(first.fixed_answers == answer, second.fixed_answers == answer)
            for name, answer in right.items()
        },
    }


def paired_difference(a, b):
    """Two rows of right answers on the same images: the difference of their shares and its standard error.

    d = (only b - only a) / N, and its variance is ((only a + only b) / N - d^2) / N: images that both or
    neither get right say nothing about the difference (McNemar).
    """
    only_a, only_b = (int(np.count_nonzero(one & ~other)) for one, other in ((a, b), (b, a)))
    difference = (only_b - only_a) / len(a)
    variance = max(0.0, (only_a + only_b) / len(a) - difference**2) / len(a)
    return {"only_a": only_a, "only_b": only_b, "difference": difference, "standard_error": math.sqrt(variance)}


def check_same_network(a, b, names=("A", "B")):
    """UserError naming the first difference where two Networks differ in more than their numbers."""
    if a.input_shape != b.input_shape:
        shapes = (" x ".join(map(str, network.input_shape)) for network in (a, b))
        _different(names, "the input has the shape", *shapes)
    for index, (ours, theirs) in enumerate(zip(a.layers, b.layers, strict=False), start=1):
        if ours.name != theirs.name:
            _different(names, f"layer {index} is", ours.name, theirs.name)
        for what, key in (("is of the kind", _kind), ("reads", _inputs), ("gives a map of", _output)):
            if key(ours) != key(theirs):
                _different(names, f"layer {ours.name} {what}", key(ours), key(theirs))
        if getattr(ours, "weight", np.empty(0)).shape != getattr(theirs, "weight", np.empty(0)).shape:
            _different(names, f"layer {ours.name} has weights of", *(list(x.weight.shape) for x in (ours, theirs)))
    if len(a.layers) != len(b.layers):
        _different(names, "the number of layers is", len(a.layers), len(b.layers))


def _kind(layer):
    return type(layer).__name__


def _inputs(layer):
    return ", ".join(layer.inputs)


def _output(layer):
    return " x ".join(map(str, layer.output_shape))


def _different(names, what, ours, theirs):
    raise UserError(
        f"{names[0]} and {names[1]} hold different networks: {what} {ours} in the first and {theirs} in the second"
    )


def _compare_layer(a, b, ours, theirs):
    entries = ours.to_json(), theirs.to_json()
    integers = None
    if ours.weights is not None:
        differ = a.layers[ours.name].weight != b.layers[ours.name].weight
        integers = {"count": differ.size, "different": int(np.count_nonzero(differ))}
    return {
        "name": ours.name,
        "kind": ours.kind,
        "changed": [key for key in CHOSEN if entries[0][key] != entries[1][key]],
        "weights": integers,
        "a": entries[0],
        "b": entries[1],
    }
