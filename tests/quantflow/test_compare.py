"""Two tunings of one network against counting by hand."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow.arithmetic import Format
from quantflow.compare import check_same_network, compare, compare_on, paired_difference
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from tests.quantflow.branched import OUTPUTS, branched, branched_images, branched_network


def test_a_tuning_equals_itself():
    figures = compare(branched(), branched())
    assert [layer["name"] for layer in figures["layers"]] == [
        "image", "conv1", "conv2", "leaky", "sum", "both", "mean", "fc",
    ]  # fmt: skip
    assert all(layer["changed"] == [] and layer["a"] == layer["b"] for layer in figures["layers"])
    assert [layer["weights"]["different"] for layer in figures["layers"] if layer["weights"]] == [0, 0, 0]
    assert figures["parameter_bytes"]["a"] == figures["parameter_bytes"]["b"]


def test_what_changed_is_named():
    changed = OUTPUTS | {"sum": Format(bits=7, fl=3), "leaky": Format(bits=8, fl=4, signed=False)}
    a, b = branched(), branched(outputs=changed)
    b.layers["conv2"].weight[0, 1, 2, 0] += 1
    b.layers["conv2"].weight[3, 1, 0, 0] -= 2
    layers = {layer["name"]: layer for layer in compare(a, b)["layers"]}
    found = {name: layer["changed"] for name, layer in layers.items() if layer["changed"]}
    assert found == {"leaky": ["activation_fl", "activation_signed"], "sum": ["activation_fl"]}
    assert layers["conv2"]["weights"] == {"count": 4 * 4 * 3 * 3, "different": 2}
    assert (layers["sum"]["a"]["activation_fl"], layers["sum"]["b"]["activation_fl"]) == (4, 3)


def test_width_and_bytes():
    figures = compare(branched(), branched(weight_bits=4))
    changed = [layer["changed"] for layer in figures["layers"] if layer["weights"]]
    assert changed == [["weight_bits", "weight_fl"]] * 3
    assert figures["parameter_bytes"]["b"] < 0.7 * figures["parameter_bytes"]["a"]


def test_answers_on_images():
    a, b, x = branched(), branched(weight_bits=3), branched_images(100)
    labels = np.random.default_rng(3).integers(0, 12, 100)
    calls = []
    figures = compare_on(a, b, x, labels, progress=lambda *call: calls.append(call))
    first, second = evaluate(a, x, labels), evaluate(b, x, labels)
    assert (figures["a"], figures["b"]) == (first.to_json(), second.to_json())
    assert figures["same_answer"] == np.mean(first.fixed_answers == second.fixed_answers)
    for name, share in (("labels", "fixed_top1"), ("float", "agreement")):
        paired = figures["paired"][name]
        assert paired["difference"] == pytest.approx(getattr(second, share) - getattr(first, share))
    assert len(calls) == 2
    assert "labels" not in compare_on(a, b, x[:2])["paired"]


def test_paired_difference_worked_by_hand():
    a, b = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool), np.array([1, 0, 1, 1, 1, 1, 0, 1], bool)
    found = paired_difference(a, b)
    assert (found["only_a"], found["only_b"], found["difference"]) == (1, 3, 2 / 8)
    each = b.astype(int) - a.astype(int)
    assert found["standard_error"] == pytest.approx(each.std() / np.sqrt(8))


def altered(index, **fields):
    network = branched_network()
    layers = list(network.layers)
    layers[index] = replace(layers[index], **fields)
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (altered(1, name="conv9"), "layer 2 is conv2 in the first and conv9 in the second"),
        (
            altered(1, inputs=("conv1", "image")),
            "layer conv2 reads conv1, conv1 in the first and conv1, image in the second",
        ),
        (
            altered(7, output_shape=(5, 1, 1)),
            "layer fc gives a map of 12 x 1 x 1 in the first and 5 x 1 x 1 in the second",
        ),
        (
            altered(0, weight=np.zeros((4, 2, 5, 5))),
            r"layer conv1 has weights of \[4, 2, 3, 3\] in the first and \[4, 2, 5, 5\] in the second",
        ),
        (
            replace(branched_network(), input_shape=(2, 6, 7)),
            "the input has the shape 2 x 6 x 6 in the first and 2 x 6 x 7 in the second",
        ),
        (
            replace(branched_network(), layers=branched_network().layers[:7]),
            "the number of layers is 8 in the first and 7 in the second",
        ),
    ],
)
def test_other_networks_are_refused(other, message):
    with pytest.raises(UserError, match=f"^one/ and two/ hold different networks: {message}$"):
        check_same_network(branched_network(), other, ("one/", "two/"))


def test_another_kind_of_layer_is_refused():
    network = branched_network()
    other = replace(
        network, layers=(*network.layers[:2], replace(network.layers[3], name="leaky"), *network.layers[3:])
    )
    with pytest.raises(UserError, match="layer leaky is of the kind Activation in the first and Add in the second"):
        check_same_network(network, other)
