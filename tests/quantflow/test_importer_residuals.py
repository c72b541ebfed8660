"""Additions that enter a convolution's sums, and convolutions that only move channels, against onnxruntime."""

import numpy as np
import pytest
from onnx import helper

from quantflow.graph import Add, Convolution, MaxPool, Pad, Slice
from tests.quantflow.test_importer_graphs import check, kinds, weights

node = helper.make_node


def test_of_two_convolutions_the_one_with_more_work_takes_the_other_in(tmp_path):
    """And is computed behind it, wherever it stood."""
    for order in (["a", "b"], ["b", "a"]):
        nodes = [
            node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]),
            node("Conv", ["x", "w1"], ["b"]),
            node("Add", order, ["s"]),
            node("Clip", ["s"], ["y"], min=0.0, max=1.5),
        ]
        network = check(nodes, weights((4, 3, 3, 3), (4, 3, 1, 1)), tmp_path, opset=10)
        assert [layer.name for layer in network.layers] == ["b", "a"]
        assert network["a"].inputs == ("x", "b") and network["a"].relu and network["a"].maximum == 1.5
        assert network["b"].inputs == ("x",) and not network["b"].relu


def test_a_convolution_takes_in_one_map_only(tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["a"]),
        node("MaxPool", ["x"], ["b"], kernel_shape=[1, 1]),
        node("Conv", ["x", "w1"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("Add", ["b", "a"], ["e"]),
        node("Add", ["e", "d"], ["f"]),
        node("Add", ["f", "b"], ["y"]),
    ]
    network = check(nodes, weights((3, 3, 1, 1), (3, 3, 1, 1)), tmp_path)
    assert kinds(network) == [MaxPool, Convolution, Convolution, Add, Add]
    assert network["a"].inputs == ("x", "b") and network["f"].inputs == ("a", "c")


@pytest.mark.parametrize("between", ["relu", "reader", "pool", "grouped"])
def test_what_a_convolution_cannot_take_in(between, tmp_path):
    """A rectifier or a pooling before the addition, or another reader of the sums, leaves an addition."""
    conv = node("Conv", ["x", "w0"], ["a"], group=2 if between == "grouped" else 1)
    nodes = [conv, node("MaxPool", ["x"], ["b"], kernel_shape=[1, 1])]
    if between == "relu":
        nodes += [node("Relu", ["a"], ["r"]), node("Add", ["r", "b"], ["y"])]
    elif between == "pool":
        nodes += [node("MaxPool", ["a"], ["r"], kernel_shape=[1, 1]), node("Add", ["r", "b"], ["y"])]
    elif between == "reader":
        nodes += [node("Add", ["a", "b"], ["s"]), node("Concat", ["s", "a"], ["y"], axis=1)]
    else:
        nodes += [node("Add", ["a", "b"], ["y"])]
    depth = 2 if between == "grouped" else 4
    network = check(nodes, weights((4, depth, 1, 1)), tmp_path, ("N", 4, 8, 8))
    assert (Add in kinds(network)) == (between != "grouped")


def test_additions_without_convolutions_stay(tmp_path):
    nodes = [node("MaxPool", ["x"], ["p"], kernel_shape=[1, 1]), node("Add", ["p", "x"], ["a"])]
    nodes += [node("Relu", ["a"], ["y"])]
    network = check(nodes, {}, tmp_path)
    assert kinds(network) == [MaxPool, Add] and network["a"].relu and network["a"].inputs == ("p", "x")


def selection(outputs, inputs, before):
    """Weights of a 1x1 convolution that passes its inputs on, behind channels of zeros."""
    weight = np.zeros((outputs, inputs, 1, 1), np.float32)
    weight[before : before + inputs, :, 0, 0] = np.eye(inputs)
    return weight


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize(("outputs", "before"), [(3, 0), (6, 0), (6, 3), (7, 1)])
def test_a_convolution_that_passes_channels_on_moves_them(strides, outputs, before, tmp_path):
    nodes = [node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2]), node("Conv", ["p", "w"], ["y"], strides=strides)]
    network = check(nodes, {"w": selection(outputs, 3, before)}, tmp_path)
    assert kinds(network) == ([MaxPool, Pad] if strides == (1, 1) else [MaxPool, Slice, Pad])
    assert network["y"].before == (before, 0, 0) and network.macs == 0 and network.parameters == 0


def test_other_convolutions_of_one_pixel_stay(tmp_path):
    swapped, scaled, cut = selection(4, 3, 0)[[1, 0, 2, 3]], 2 * selection(4, 3, 1), selection(5, 3, 2)[:4]
    large = np.pad(selection(4, 3, 0), ((0, 0), (0, 0), (0, 1), (0, 1)))
    constants = {"swapped": swapped, "scaled": scaled, "cut": cut, "whole": selection(4, 3, 1)}
    constants |= {"bias": np.float32([0, 0, 0, 1]), "large": large}
    for inputs, attributes in (
        (["swapped"], {}),
        (["scaled"], {}),
        (["cut"], {}),
        (["whole", "bias"], {}),
        (["whole"], {"pads": [1, 0, 0, 0]}),
        (["large"], {}),
    ):
        used = {name: constants[name] for name in inputs}
        assert kinds(check([node("Conv", ["x", *inputs], ["y"], **attributes)], used, tmp_path)) == [Convolution]
    nodes = [node("Conv", ["x", "whole"], ["c"]), node("Relu", ["c"], ["y"])]
    assert kinds(check(nodes, {"whole": constants["whole"]}, tmp_path)) == [Convolution]
