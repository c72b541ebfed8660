"""Networks beyond chains, and every operator beside convolution, against onnxruntime."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from quantflow import float_engine
from quantflow.errors import UserError
from quantflow.graph import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    HostOperator,
    MaxPool,
    Pad,
    Reshape,
    Slice,
)
from quantflow.importer import load_network
from tests.quantflow.onnx_graphs import build, floats, onnxruntime_output, saved

node = helper.make_node


def check(nodes, constants, folder, shape=("N", 3, 8, 8), opset=17):
    """Import and compare with onnxruntime; returns the network."""
    model = build(nodes, constants, shape, opset=opset)
    network = load_network(saved(model, folder))
    count = 3 if shape[0] == "N" else shape[0]
    images = floats(np.random.default_rng(1), count, *shape[1:])
    expected = onnxruntime_output(model, images)
    output = float_engine.run(network, images).reshape(expected.shape)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * max(1, np.abs(expected).max()))
    return network


def kinds(network):
    return [type(layer) for layer in network.layers]


def weights(*shapes):
    rng = np.random.default_rng(2)
    return {f"w{index}": floats(rng, *shape) for index, shape in enumerate(shapes)}


@pytest.mark.parametrize(("groups", "channels"), [(1, 4), (2, 4), (3, 6), (6, 6), (6, 18)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 1), (2, 3)])
def test_groups_and_dilation(groups, channels, dilations, tmp_path):
    conv = node("Conv", ["x", "w0"], ["y"], group=groups, dilations=dilations, pads=[1, 2, 0, 1], strides=[1, 2])
    network = check([conv], weights((channels, 6 // groups, 3, 2)), tmp_path, ("N", 6, 9, 8))
    layer = network["y"]
    assert (layer.groups, layer.window.dilation) == (groups, dilations)
    assert network.macs == layer.weight.size * np.prod(layer.output_shape[1:])


@pytest.mark.parametrize("auto_pad", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3), (4, 2)])
@pytest.mark.parametrize("operator", ["Conv", "MaxPool", "AveragePool"])
def test_automatic_padding(auto_pad, strides, operator, tmp_path):
    constants = weights((2, 3, 4, 3)) if operator == "Conv" else {}
    attributes = {"kernel_shape": [4, 3], "strides": strides, "auto_pad": auto_pad}
    check([node(operator, ["x", *constants], ["y"], **attributes)], constants, tmp_path, ("N", 3, 8, 9))


@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (3, 3)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 3), (5, 4)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 0)])
@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_pooling(operator, kernel, strides, pads, ceil_mode, tmp_path):
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "ceil_mode": ceil_mode}
    check([node(operator, ["x"], ["y"], **attributes)], {}, tmp_path, ("N", 2, 8, 9))


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)])
def test_an_average_may_count_its_padding(pads, tmp_path):
    pool = node("AveragePool", ["x"], ["y"], kernel_shape=[3, 2], strides=[2, 2], pads=pads, count_include_pad=1)
    assert check([pool], {}, tmp_path)["y"].count_include_pad == any(pads)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
def test_dilated_pooling(operator, tmp_path):
    pool = node(operator, ["x"], ["y"], kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 1, 0, 1], strides=[1, 2])
    check([pool], {}, tmp_path, opset=19)


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pooling(operator, tmp_path):
    (layer,) = check([node(operator, ["x"], ["y"])], {}, tmp_path, ("N", 3, 5, 7)).layers
    assert type(layer) is (MaxPool if "Max" in operator else AveragePool)
    assert layer.window.kernel == (5, 7)


@pytest.mark.parametrize(("axes", "keepdims"), [([2, 3], 1), ([-1, -2], 1), ([2, -1], 0)])
@pytest.mark.parametrize("opset", [13, 18])
def test_the_mean_over_space(axes, keepdims, opset, tmp_path):
    constants = {"axes": np.array(axes, np.int64)} if opset >= 18 else {}
    attributes = {} if opset >= 18 else {"axes": axes}
    mean = node("ReduceMean", ["x", *constants], ["y"], keepdims=keepdims, **attributes)
    network = check([mean], constants, tmp_path, opset=opset)
    assert kinds(network) == [AveragePool] and network.output_shape == (3, 1, 1)


def test_a_residual_block_with_rectified_sum(tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["a"], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["r"]),
        node("Conv", ["r", "w1"], ["b"], pads=[1, 1, 1, 1]),
        node("Add", ["b", "r"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    network = check(nodes, weights((4, 3, 3, 3), (4, 4, 3, 3)), tmp_path)
    assert kinds(network) == [Convolution, Convolution]
    assert network["b"].inputs == ("a", "a") and network["b"].relu


def test_a_rectifier_is_not_folded_into_a_map_that_others_read(tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Add", ["c", "r"], ["y"]),
    ]
    network = check(nodes, weights((4, 3, 3, 3)), tmp_path)
    assert kinds(network) == [Convolution, Activation, Add] and not network["c"].relu


def test_nor_is_a_bound_behind_a_rectifier_that_others_read(tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Clip", ["r"], ["k"], min=0.0, max=0.5),
        node("Concat", ["k", "r"], ["y"], axis=1),
    ]
    network = check(nodes, weights((4, 3, 3, 3)), tmp_path, opset=10)
    assert kinds(network) == [Convolution, Activation, Concat]
    assert network["c"].relu and network["c"].maximum is None


def test_nor_across_a_pooling_whose_map_others_read(tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["c"]),
        node("MaxPool", ["c"], ["p"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["p"], ["r"]),
        node("Add", ["c", "r"], ["y"]),
    ]
    assert kinds(check(nodes, weights((4, 3, 3, 3)), tmp_path)) == [Convolution, MaxPool, Activation, Add]


@pytest.mark.parametrize("through", ["Identity", "Dropout"])
def test_what_is_removed_passes_its_readers_on(through, tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["c"]),
        node(through, ["c"], ["i"]),
        node("Relu", ["i"], ["r"]),
        node("Add", ["i", "r"], ["y"]),
    ]
    assert kinds(check(nodes, weights((4, 3, 3, 3)), tmp_path)) == [Convolution, Activation, Add]


def test_a_normalization_is_not_folded_into_a_map_that_others_read(tmp_path):
    constants = weights((4, 3, 3, 3), (4,), (4,), (4,)) | {"v": np.float32([1, 2, 3, 4])}
    nodes = [
        node("Conv", ["x", "w0"], ["c"]),
        node("BatchNormalization", ["c", "w1", "w2", "w3", "v"], ["n"]),
        node("Add", ["c", "n"], ["y"]),
    ]
    network = check(nodes, constants, tmp_path)
    assert kinds(network) == [Convolution, Convolution] and network["n"].groups == 4
    assert network["n"].inputs == ("c", "c")


def test_a_map_added_to_itself(tmp_path):
    nodes = [node("Conv", ["x", "w0"], ["c"]), node("Add", ["c", "c"], ["s"]), node("Relu", ["s"], ["y"])]
    network = check(nodes, weights((4, 3, 3, 3)), tmp_path)
    assert kinds(network) == [Convolution, Add] and network["s"].inputs == ("c", "c")


def test_normalization_rectifier_and_scaling_that_stand_alone(tmp_path):
    constants = weights((3,), (3,), (3,), (1, 3, 1, 1)) | {"v": np.float32([1, 2, 3])}
    nodes = [
        node("BatchNormalization", ["x", "w0", "w1", "w2", "v"], ["n"]),
        node("Relu", ["n"], ["r"]),
        node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
        node("Mul", ["w3", "p"], ["y"]),
    ]
    network = check(nodes, constants, tmp_path)
    assert kinds(network) == [Convolution, MaxPool, Convolution]
    assert network["n"].relu and network["n"].groups == 3


@pytest.mark.parametrize(
    ("operator", "attributes", "constants"),
    [
        ("Relu", {}, {}),
        ("Clip", {}, {}),
        ("Clip", {}, {"low": np.float32(0)}),
        ("Clip", {}, {"low": np.float32(0), "high": np.float32(0.75)}),
        ("LeakyRelu", {"alpha": 0.3}, {}),
        ("LeakyRelu", {"alpha": -1.5}, {}),
        ("PRelu", {}, {"slope": np.float32([[[0.5]], [[-1]], [[2]]])}),
        ("PRelu", {}, {"slope": np.float32([0.25])}),
    ],
)
@pytest.mark.parametrize("behind", ["input", "convolution"])
def test_activations(operator, attributes, constants, behind, tmp_path):
    nodes = [node("Conv", ["x", "w0"], ["c"]), node(operator, ["c", *constants], ["y"], **attributes)]
    if behind == "input":
        nodes = [node(operator, ["x", *constants], ["a"], **attributes), node("Conv", ["a", "w0"], ["y"])]
    network = check(nodes, constants | weights((3, 3, 1, 1)), tmp_path)
    if behind == "convolution" and operator in ("Relu", "Clip"):
        assert kinds(network) == [Convolution]


def test_two_bounds_leave_the_lower_one(tmp_path):
    nodes = [node("Conv", ["x", "w0"], ["c"])]
    for index, high in enumerate((2.0, 1.0, 3.0)):
        nodes.append(node("Clip", [nodes[-1].output[0]], [f"k{index}"], min=0.0, max=high))
    (layer,) = check(nodes, weights((4, 3, 3, 3)), tmp_path, opset=10).layers
    assert layer.relu and layer.maximum == 1.0


def test_concatenation_of_maps_and_of_features(tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["a"]),
        node("Concat", ["a", "x", "a"], ["b"], axis=1),
        node("Flatten", ["x"], ["f"]),
        node("GlobalMaxPool", ["b"], ["p"]),
        node("Flatten", ["p"], ["g"]),
        node("Concat", ["g", "f"], ["j"], axis=-1),
        node("MatMul", ["j", "w1"], ["y"]),
    ]
    network = check(nodes, weights((4, 3, 1, 1), (11 + 192, 5)), tmp_path)
    assert kinds(network)[:2] == [Convolution, Concat] and Reshape in kinds(network)


@pytest.mark.parametrize(
    ("start", "end", "axes", "steps"),
    [
        ([0], [1 << 62], [2], [2]),
        ([1, -3], [3, 1 << 62], [1, 3], [1, 2]),
        ([0, 1, 1], [1 << 62, 99, -1], [0, 2, 3], [1, 3, 2]),
        ([0], [8], [-1], [1]),
    ],
)
def test_slices(start, end, axes, steps, tmp_path):
    lists = {"start": start, "end": end, "axes": axes, "steps": steps}
    constants = {key: np.array(value, np.int64) for key, value in lists.items()} | weights((4, 3, 1, 1))
    nodes = [node("Conv", ["x", "w0"], ["c"]), node("Slice", ["c", *lists], ["y"])]
    assert kinds(check(nodes, constants, tmp_path)) == [Convolution, Slice][: 1 if end == [8] else 2]


def test_older_slices_and_paddings_have_attributes(tmp_path):
    nodes = [
        node("Slice", ["x"], ["s"], starts=[1, 0], ends=[3, 5], axes=[1, 2]),
        node("Pad", ["s"], ["y"], pads=[0, 1, 0, 2, 0, 0, 3, 1], value=1.5),
    ]
    assert kinds(check(nodes, {}, tmp_path, opset=9)) == [Slice, Pad]


@pytest.mark.parametrize("value", [None, 0.0, -2.5])
def test_padding_of_channels_and_space(value, tmp_path):
    constants = {"pads": np.array([0, 2, 1, 0, 0, 3, 0, 4], np.int64)} | weights((2, 8, 3, 3))
    if value is not None:
        constants["value"] = np.float32(value)
    inputs = [name for name in ("pads", "value") if name in constants]
    nodes = [node("Pad", ["x", *inputs], ["p"]), node("Conv", ["p", "w0"], ["y"])]
    assert kinds(check(nodes, constants, tmp_path)) == [Pad, Convolution]


@pytest.mark.parametrize("batch", ["N", 4])
def test_shape_chains_are_folded(batch, tmp_path):
    constants = weights((192, 5)) | {"zero": np.array(0, np.int64), "rest": np.array([-1], np.int64)}
    constants["axes"] = np.array([0], np.int64)
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axes"], ["u"]),
        node("Concat", ["u", "rest"], ["t"], axis=0),
        node("Cast", ["t"], ["k"], to=7),
        node("Reshape", ["x", "k"], ["f"]),
        node("Gemm", ["f", "w0"], ["y"]),
    ]
    network = check(nodes, constants, tmp_path, (batch, 3, 8, 8))
    assert [layer.name for layer in network.layers] == ["y"]


def test_a_batch_folded_into_the_features_is_refused(tmp_path):
    target = numpy_helper.from_array(np.array([1, -1], np.int64))
    nodes = [
        node("Constant", [], ["one"], value=target),
        node("Shape", ["x"], ["s"], start=0, end=1),
        node("Concat", ["s", "s"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["y"]),
    ]
    with pytest.raises(UserError, match=r"has the target shape \[2, 2\] for a value of"):
        load_network(saved(build(nodes, {}), tmp_path))


@pytest.mark.parametrize("opset", [11, 17])
def test_squeezing_and_unsqueezing(opset, tmp_path):
    axes = {"pair": np.array([2, 3], np.int64)} if opset >= 13 else {}
    attributes = {} if axes else {"axes": [2, 3]}
    nodes = [
        node("GlobalAveragePool", ["x"], ["g"]),
        node("Squeeze", ["g", *axes], ["s"], **attributes),
        node("MatMul", ["s", "w0"], ["m"]),
        node("Unsqueeze", ["m", *axes], ["u"], **attributes),
        node("Conv", ["u", "w1"], ["c"]),
        node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        node("Flatten", ["t"], ["y"]),
    ]
    assert len(check(nodes, axes | weights((3, 6), (4, 6, 1, 1)), tmp_path, opset=opset).layers) == 3


def test_features_read_as_a_map(tmp_path):
    constants = weights((2, 2, 2, 3)) | {"shape": np.array([-1, 2, 4, 6], np.int64)}
    nodes = [node("Reshape", ["x", "shape"], ["r"]), node("Conv", ["r", "w0"], ["y"])]
    assert kinds(check(nodes, constants, tmp_path, ("N", 48))) == [Reshape, Convolution]


@pytest.mark.parametrize("opset", [11, 17])
def test_softmax_and_argmax_are_left_to_the_host(opset, tmp_path):
    nodes = [
        node("Conv", ["x", "w0"], ["c"]),
        node("Flatten", ["c"], ["f"]),
        node("Softmax", ["f"], ["s"], name="classes", axis=-1),
        node("ArgMax", ["s"], ["y"], axis=1, keepdims=0),
    ]
    model = build(nodes, weights((4, 3, 8, 8)), opset=opset)
    model.graph.output[0].type.tensor_type.elem_type = 7
    network = load_network(saved(model, tmp_path))
    assert kinds(network) == [Convolution]
    assert network.host == (
        HostOperator(operator="Softmax", name="classes", axis=1),
        HostOperator(operator="ArgMax", name="y", axis=1),
    )
    images = floats(np.random.default_rng(3), 5, 3, 8, 8)
    answers = float_engine.run(network, images).reshape(5, -1).argmax(axis=1)
    np.testing.assert_array_equal(answers, onnxruntime_output(model, images))


@pytest.mark.parametrize("split", [None, [1, 3, 2]])
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_a_split_is_a_slice_for_each_part(split, opset, tmp_path):
    given = split is not None
    constants = {"sizes": np.array(split, np.int64)} if given and opset >= 13 else {}
    attributes = {"split": split} if given and opset < 13 else {"num_outputs": 3} if not given and opset >= 18 else {}
    nodes = [
        node("Split", ["x", *constants], ["a", "b", "c"], axis=1, name="parts", **attributes),
        node("GlobalMaxPool", ["b"], ["m"]),
        node("GlobalAveragePool", ["c"], ["n"]),
        node("GlobalMaxPool", ["a"], ["l"]),
        node("Concat", ["m", "n", "l"], ["y"], axis=1),
    ]
    network = check(nodes, constants, tmp_path, ("N", 6, 5, 5), opset)
    assert [layer.name for layer in network.layers][:3] == ["parts[0]", "parts[1]", "parts[2]"]
    assert [layer.start[0] for layer in network.layers[:3]] == ([0, 1, 4] if given else [0, 2, 4])


def test_an_unread_part_of_a_split_is_refused(tmp_path):
    model = build([node("Split", ["x"], ["a", "y"], axis=1)], {}, ("N", 4, 5, 5), opset=13)
    model.graph.output[0].name = "y"
    with pytest.raises(UserError, match="Split 'a' makes 'a', which nothing reads"):
        load_network(saved(model, tmp_path))


def test_slices_of_a_slice_become_one(tmp_path):
    lists = {"one": [1], "two": [2], "three": [3], "end": [1 << 62]}
    constants = {key: np.array(value, np.int64) for key, value in lists.items()}
    nodes = [
        node("Slice", ["x", "one", "end", "two", "two"], ["a"]),
        node("Slice", ["a", "one", "end", "two", "three"], ["b"]),
        node("Slice", ["b", "one", "three", "three", "one"], ["y"]),
    ]
    (layer,) = check(nodes, constants, tmp_path, ("N", 2, 20, 8)).layers
    assert (layer.start, layer.step, layer.output_shape) == ((0, 3, 1), (1, 6, 1), (2, 3, 2))


def test_a_slice_that_others_read_stays(tmp_path):
    lists = {"zero": [0], "one": [1], "two": [2], "end": [1 << 62]}
    constants = {key: np.array(value, np.int64) for key, value in lists.items()}
    nodes = [
        node("Slice", ["x", "zero", "end", "two", "two"], ["a"]),
        node("Slice", ["a", "one", "two", "one"], ["b"]),
        node("Concat", ["a", "b"], ["y"], axis=1),
    ]
    assert kinds(check(nodes, constants, tmp_path)) == [Slice, Slice, Concat]


@pytest.mark.parametrize(("value", "folded"), [(0.0, True), (1.0, False)])
def test_zeros_around_a_map_are_the_convolutions_padding(value, folded, tmp_path):
    pads = {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 3], np.int64), "value": np.float32(value)}
    nodes = [
        node("Pad", ["x", *pads], ["p"]),
        node("Conv", ["p", "w0"], ["y"], strides=[2, 2], pads=[1, 0, 0, 1]),
    ]
    network = check(nodes, pads | weights((4, 3, 3, 3)), tmp_path)
    assert kinds(network) == [Pad, Convolution][folded:]
    if folded:
        assert network["y"].window.padding == (2, 2, 0, 4)
