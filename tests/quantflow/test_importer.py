"""The importer against onnx's reference evaluator, on random graphs and on each operator's variants."""

import numpy as np
import onnx
import pytest
from onnx import helper

from benchmarks.published_cases import node_cases, refusal
from quantflow import float_engine
from quantflow.graph import Convolution, Dense, MaxPool
from quantflow.importer import load_network
from quantflow.importer.drafting import draft_model
from quantflow.importer.files import read_model
from quantflow.importer.passes import PASSES
from quantflow.importer.steps import ChannelAffine, Flattening, Passage, Rectifier
from tests.data import data_folder
from tests.quantflow.onnx_graphs import RandomChain, build, floats, onnxruntime_output, reference, saved

node = helper.make_node


def check(model, folder, images, oracle=reference):
    """Import the model and compare its output with the oracle's; returns the network."""
    network = load_network(saved(model, folder))
    expected = oracle(model, images)
    output = float_engine.run(network, images).reshape(expected.shape)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * max(1, np.abs(expected).max()))
    return network


@pytest.mark.parametrize("seed", range(80))
def test_random_chains_agree_with_the_reference(seed, tmp_path):
    chain = RandomChain(seed)
    network = check(chain.model, tmp_path, floats(chain.rng, 3, *chain.input_shape[1:]))
    assert all(isinstance(layer, Convolution | Dense | MaxPool) for layer in network.layers)
    assert [layer.inputs[0] for layer in network.layers[1:]] == [layer.name for layer in network.layers[:-1]]
    assert network.layers[0].inputs == ("x",)
    shapes = [network.input_shape, *(layer.output_shape for layer in network.layers)]
    assert [layer.input_shape for layer in network.layers] == shapes[:-1]


@pytest.mark.parametrize("seed", range(100, 130))
def test_random_chains_agree_with_onnxruntime(seed, tmp_path):
    chain = RandomChain(seed)
    check(chain.model, tmp_path, floats(chain.rng, 3, *chain.input_shape[1:]), onnxruntime_output)


def apply_step(step, x):
    """What a step of a draft computes, the temporary ones included."""
    x = x.reshape(len(x), *step.input_shape)
    if isinstance(step, Passage | Flattening):
        return x
    if isinstance(step, Rectifier):
        return np.maximum(x, 0)
    if isinstance(step, ChannelAffine):
        return (x * step.scale[:, None, None] + step.offset[:, None, None]).astype(np.float32)
    return float_engine.apply(step, x)


@pytest.mark.parametrize("seed", range(20))
def test_the_same_sample_passes_through_the_draft_after_every_pass(seed, tmp_path):
    chain = RandomChain(seed)
    images = floats(chain.rng, 3, *chain.input_shape[1:])
    expected = reference(chain.model, images)
    draft = draft_model(read_model(saved(chain.model, tmp_path)))
    assert not draft.problems and not any(entry.refused for entry in draft.entries.values())
    for each in (lambda draft: draft, *PASSES):
        draft = each(draft)
        maps = {"x": images}
        for step in draft.steps:
            maps[step.name] = apply_step(step, maps[step.inputs[0]])
        output = maps[draft.steps[-1].name].reshape(expected.shape)
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 2), (1, 7)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 1, 3), (5, 0, 0, 6)])
def test_convolution_of_any_kernel_stride_and_padding(kernel, strides, pads, tmp_path):
    rng = np.random.default_rng(1)
    constants = {"w": floats(rng, 4, 3, *kernel), "b": floats(rng, 4)}
    conv = node("Conv", ["x", "w", "b"], ["y"], pads=pads, strides=strides, kernel_shape=kernel)
    network = check(build([conv], constants), tmp_path, floats(rng, 2, 3, 8, 8))
    assert network["y"].window.padding == pads


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("last", [0, 1])
def test_max_pooling_of_any_kernel_stride_and_padding(kernel, strides, last, tmp_path):
    images = floats(np.random.default_rng(13), 2, 3, 7, 8)
    pads = [kernel[0] - 1, kernel[1] - 1, last * (kernel[0] - 1), 0]
    pool = node("MaxPool", ["x"], ["y"], kernel_shape=kernel, strides=strides, pads=pads)
    model = build([pool], {}, ("N", 3, 7, 8))
    # Of pooling with strides 1 and padding onnx's own evaluator makes too small maps.
    check(model, tmp_path, images, onnxruntime_output if strides == (1, 1) else reference)


@pytest.mark.parametrize("bias_shape", [None, (), (1,), (5,), (1, 1), (1, 5)])
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("scales", [{}, {"alpha": 0.5, "beta": -2.0}])
def test_gemm_variants(bias_shape, trans_b, scales, tmp_path):
    rng = np.random.default_rng(2)
    constants = {"w": floats(rng, *((5, 12) if trans_b else (12, 5)))}
    if bias_shape is not None:
        constants["b"] = np.asarray(floats(rng, *bias_shape))
    gemm = node("Gemm", ["x", *constants], ["y"], transB=trans_b, **scales)
    network = check(build([gemm], constants, ("N", 12)), tmp_path, floats(rng, 4, 12))
    assert network.input_shape == (12, 1, 1)
    assert network.output_shape == (5, 1, 1)
    assert network.macs == 60


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("bias_shape", [(), (1,), (6,), (1, 6)])
def test_matmul_and_the_addition_of_its_bias(first, bias_shape, tmp_path):
    rng = np.random.default_rng(3)
    constants = {"w": floats(rng, 12, 6), "b": np.asarray(floats(rng, *bias_shape))}
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"][:: 1 - 2 * first], ["y"])]
    network = check(build(nodes, constants, ("N", 12)), tmp_path, floats(rng, 4, 12))
    assert [layer.name for layer in network.layers] == ["m"]


def normalization(rng, count):
    """Constants of a BatchNormalization."""
    constants = {name: floats(rng, count) for name in ("scale", "offset", "mean")}
    return constants | {"var": rng.uniform(0.01, 3, count).astype(np.float32)}


@pytest.mark.parametrize("opset", [9, 14, 15, 22])
@pytest.mark.parametrize("bias", [[], ["b"]])
def test_batch_normalization_is_folded_into_a_convolution(opset, bias, tmp_path):
    rng = np.random.default_rng(4)
    constants = {"w": floats(rng, 4, 3, 3, 3), **normalization(rng, 4)}
    constants |= {name: floats(rng, 4) for name in bias}
    nodes = [
        node("Conv", ["x", "w", *bias], ["c"]),
        node("Identity", ["c"], ["i"]),
        node("BatchNormalization", ["i", "scale", "offset", "mean", "var"], ["n"], epsilon=0.1, momentum=0.5),
        node("Relu", ["n"], ["y"]),
    ]
    # Before opset 15 onnx's own evaluator always normalizes as in training.
    oracle = reference if opset >= 15 else onnxruntime_output
    network = check(build(nodes, constants, opset=opset), tmp_path, floats(rng, 2, 3, 8, 8), oracle)
    (layer,) = network.layers
    assert layer.relu and layer.name == "c"


def test_two_normalizations_and_a_bias_fold_into_one_dense_layer(tmp_path):
    rng = np.random.default_rng(5)
    again = {f"{name}2": array for name, array in normalization(rng, 6).items()}
    constants = {"w": floats(rng, 12, 6), "b": floats(rng, 6), **normalization(rng, 6), **again}
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        node("BatchNormalization", ["m", "scale", "offset", "mean", "var"], ["n"]),
        node("Add", ["b", "n"], ["a"]),
        node("BatchNormalization", ["a", "scale2", "offset2", "mean2", "var2"], ["y"]),
    ]
    assert len(check(build(nodes, constants, ("N", 12)), tmp_path, floats(rng, 4, 12)).layers) == 1


@pytest.mark.parametrize("between", [["MaxPool"], ["Flatten"], ["MaxPool", "Flatten"], ["Relu", "MaxPool"]])
def test_relu_is_fused_across_pooling_and_flattening(between, tmp_path):
    rng = np.random.default_rng(6)
    window = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}
    nodes = [node("Conv", ["x", "w"], ["v0"])]
    for index, operator in enumerate([*between, "Relu"]):
        attributes = window if operator == "MaxPool" else {}
        nodes.append(node(operator, [f"v{index}"], [f"v{index + 1}"], **attributes))
    network = check(build(nodes, {"w": floats(rng, 4, 3, 3, 3)}), tmp_path, floats(rng, 2, 3, 8, 8))
    assert network["v0"].relu


@pytest.mark.parametrize("batch", ["N", 1, 4])
@pytest.mark.parametrize(
    "reshaping",
    [
        ([0, -1], {}),
        ([-1, 192], {}),
        ([0, 192], {}),
        ([-1, 192], {"allowzero": 1}),
        ([0, 3, 8, 8], {}),
        ([0, 0, -1, 8], {}),
    ],
)
def test_reshapes_that_flatten_or_change_nothing(batch, reshaping, tmp_path):
    rng = np.random.default_rng(7)
    target, attributes = reshaping
    constants = {"w": floats(rng, 3, 3, 1, 1), "shape": np.array(target, np.int64)}
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Reshape", ["c", "shape"], ["y"], **attributes)]
    model = build(nodes, constants, (batch, 3, 8, 8))
    network = check(model, tmp_path, floats(rng, 1 if batch == "N" else batch, 3, 8, 8))
    assert network.output_shape == (3, 8, 8)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_reshape_may_name_the_fixed_batch(batch, tmp_path):
    rng = np.random.default_rng(8)
    constants = {"w": floats(rng, 192, 5), "shape": np.array([batch, -1], np.int64)}
    nodes = [node("Reshape", ["x", "shape"], ["r"]), node("MatMul", ["r", "w"], ["y"])]
    network = check(build(nodes, constants, (batch, 3, 8, 8)), tmp_path, floats(rng, batch, 3, 8, 8))
    assert network["y"].input_shape == (3, 8, 8)


def test_constants_come_as_nodes_numbers_and_aliases(tmp_path):
    rng = np.random.default_rng(9)
    nodes = [
        node("Identity", ["w"], ["alias"]),
        node("Constant", [], ["b"], value_floats=[0.5, -1.5]),
        node("Constant", [], ["s"], value_float=2.5),
        node("Constant", [], ["flat"], value_ints=[0, -1]),
        node("Conv", ["x", "alias", "b"], ["c"]),
        node("Add", ["c", "s"], ["a"]),
        node("Reshape", ["a", "flat"], ["y"]),
    ]
    check(build(nodes, {"w": floats(rng, 2, 3, 3, 3)}), tmp_path, floats(rng, 2, 3, 8, 8))


def test_dropout_in_inference_and_unused_outputs_go(tmp_path):
    rng = np.random.default_rng(10)
    constants = {"w": floats(rng, 2, 3, 1, 1), "ratio": np.float32(0.5), "training": np.array(False)}
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Dropout", ["c", "ratio", "training"], ["d", "mask"]),
        node("MaxPool", ["d"], ["y", ""], kernel_shape=[2, 2]),
    ]
    network = check(build(nodes, constants), tmp_path, floats(rng, 2, 3, 8, 8))
    assert [layer.name for layer in network.layers] == ["c", "y"]


def test_the_network_is_named_after_its_file_and_layers_after_nodes_or_outputs(tmp_path):
    rng = np.random.default_rng(11)
    constants = {"w": floats(rng, 3, 3, 1, 1)}
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="same"),
        node("Conv", ["a", "w"], ["b"], name="same"),
        node("Conv", ["b", "w"], ["c"]),
        node("Conv", ["c", "w"], ["d"], name="x"),
    ]
    network = load_network(saved(build(nodes, constants), tmp_path, "my network.onnx"))
    assert network.name == "my network"
    assert [layer.name for layer in network.layers] == ["same", "b", "c", "d"]


def test_an_initializer_may_also_be_listed_as_input(tmp_path):
    rng = np.random.default_rng(12)
    model = build([node("Conv", ["x", "w"], ["y"])], {"w": floats(rng, 2, 3, 1, 1)})
    model.graph.input.append(helper.make_tensor_value_info("w", 1, (2, 3, 1, 1)))
    assert load_network(saved(model, tmp_path)).input_name == "x"


def test_onnxs_own_published_cases_agree_or_are_refused(tmp_path):
    refusals = [refusal(model, x, y, tmp_path) for _, model, x, y in node_cases()]
    assert refusals.count(None) >= 48


def test_the_trained_lenet_agrees_with_onnxruntime():
    path = data_folder("mnist", "lenet_caffe.onnx")
    digits = np.load(data_folder("mnist", "mnist.npz"))
    images = digits["x_test"][:300, None].astype(np.float32) / 256
    network = load_network(path)
    output = float_engine.run(network, images).reshape(300, 10)
    np.testing.assert_allclose(output, onnxruntime_output(onnx.load(path), images), rtol=1e-4, atol=1e-4)
    assert network.macs == 288_000 + 1_600_000 + 400_000 + 5_000
    assert network.parameters == 431_080
