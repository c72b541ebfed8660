"""The inspection: every row's figures and verdict, and all refusals at once."""

import json

import numpy as np
import pytest
from onnx import helper, numpy_helper

from quantflow.importer import inspect_model, load_network
from tests.data import data_folder
from tests.quantflow.onnx_graphs import RandomChain, build, floats, saved

node = helper.make_node


def rows(inspection):
    return [
        (row.operator, row.name, row.input_shape, row.output_shape, row.macs, row.parameters, row.verdict)
        for row in inspection.layers
    ]


def small_model():
    rng = np.random.default_rng(1)
    nodes = [
        node("Constant", [], ["k"], value=numpy_helper.from_array(floats(rng, 4))),
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ["c", "k", "k", "k", "var"], ["n"]),
        node("MaxPool", ["n"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Relu", ["p"], ["r"]),
        node("Dropout", ["r"], ["d"]),
        node("Flatten", ["d"], ["f"]),
        node("MatMul", ["f", "m"], ["g"], name="fc"),
        node("Add", ["g", "b"], ["y"]),
    ]
    constants = {"w": floats(rng, 4, 3, 3, 3), "var": np.ones(4, np.float32)}
    constants |= {"m": floats(rng, 64, 10), "b": floats(rng, 10)}
    return build(nodes, constants)


def test_every_row_of_a_supported_model(tmp_path):
    path = saved(small_model(), tmp_path)
    inspection = inspect_model(path)
    assert inspection.supported and not inspection.problems
    assert rows(inspection) == [
        ("Conv", "c", (3, 8, 8), (4, 8, 8), 64 * 108, 112, "ok"),
        ("BatchNormalization", "n", (4, 8, 8), (4, 8, 8), 0, 0, "folded into c"),
        ("MaxPool", "p", (4, 8, 8), (4, 4, 4), 0, 0, "ok"),
        ("Relu", "r", (4, 4, 4), (4, 4, 4), 0, 0, "folded into c"),
        ("Dropout", "d", (4, 4, 4), (4, 4, 4), 0, 0, "removed"),
        ("Flatten", "f", (4, 4, 4), (64,), 0, 0, "removed"),
        ("MatMul", "fc", (64,), (10,), 640, 650, "ok"),
        ("Add", "y", (10,), (10,), 0, 0, "folded into fc"),
    ]
    network = load_network(path)
    assert (inspection.macs, inspection.parameters) == (network.macs, network.parameters)
    assert (inspection.input_name, inspection.input_shape) == ("x", (3, 8, 8))
    assert inspection.name == "model" and inspection.opset == 17


def test_json_holds_the_same(tmp_path):
    inspection = inspect_model(saved(small_model(), tmp_path))
    page = json.loads(json.dumps(inspection.to_json()))
    assert page["supported"] is True and page["problems"] == []
    assert page["input"] == {"name": "x", "shape": [3, 8, 8]}
    assert page["macs"] == inspection.macs
    assert page["layers"][5] == {
        "operator": "Flatten",
        "name": "f",
        "input_shape": [4, 4, 4],
        "output_shape": [64],
        "macs": 0,
        "parameters": 0,
        "verdict": "removed",
        "supported": True,
    }


@pytest.mark.parametrize("seed", range(200, 220))
def test_the_sums_are_the_networks(seed, tmp_path):
    path = saved(RandomChain(seed).model, tmp_path)
    inspection, network = inspect_model(path), load_network(path)
    assert inspection.supported
    assert (inspection.macs, inspection.parameters) == (network.macs, network.parameters)
    assert [row.name for row in inspection.layers if row.verdict == "ok"] == [
        layer.name for layer in network.layers
    ]


def test_all_refusals_are_listed_and_shapes_go_on_behind_them(tmp_path):
    rng = np.random.default_rng(2)
    nodes = [
        node("Conv", ["x", "w"], ["c1"], colour=3),
        node("Relu", ["c1"], ["r1"]),
        node("Sigmoid", ["r1"], ["k"]),
        node("Conv", ["k", "v"], ["c2"], dilations=[2, 2], flavour="sour"),
        node("Conv", ["c2", "v"], ["c3"]),
        node("Relu", ["c3"], ["r3"]),
        node("GlobalLpPool", ["r3"], ["y"]),
    ]
    constants = {"w": floats(rng, 3, 3, 1, 1), "v": floats(rng, 3, 3, 2, 2)}
    inspection = inspect_model(saved(build(nodes, constants), tmp_path))
    assert not inspection.supported
    assert [row.name for row in inspection.layers if not row.supported] == ["c1", "k", "c2", "y"]
    assert [row.output_shape for row in inspection.layers] == [
        (3, 8, 8),
        (3, 8, 8),
        (3, 8, 8),
        (3, 6, 6),
        (3, 5, 5),
        (3, 5, 5),
        (3, 1, 1),
    ]
    assert inspection.layers[1].verdict == "folded into c1"
    assert inspection.layers[0].macs is None and inspection.layers[0].parameters is None
    assert inspection.layers[4].macs == 25 * 36
    assert inspection.macs == 25 * 36


def test_shapes_that_nobody_knows_are_said_to_be_unknown(tmp_path):
    rng = np.random.default_rng(3)
    nodes = [
        node("Mystery", ["x"], ["m"], domain="com.example"),
        node("Conv", ["m", "w"], ["c"]),
        node("Conv", ["c", "w"], ["d"], group=0),
        node("Relu", ["d"], ["y"]),
    ]
    inspection = inspect_model(saved(build(nodes, {"w": floats(rng, 3, 3, 1, 1)}), tmp_path))
    assert [row.output_shape for row in inspection.layers] == [None] * 4
    unknown = "not checked, since the shape of its input is unknown"
    assert inspection.layers[1].verdict == inspection.layers[3].verdict == unknown
    assert inspection.layers[2].verdict == "has group 0, which does not divide the 3 channels that it makes"


def test_what_the_machine_lacks_is_said_and_imports_all_the_same(tmp_path):
    rng = np.random.default_rng(4)
    nodes = [
        node("Conv", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "v"], ["d"]),
        node("Conv", ["r", "v"], ["e"]),
        node("Add", ["d", "e"], ["a"]),
        node("Relu", ["a"], ["s"]),
        node("AveragePool", ["s"], ["p"], kernel_shape=[2, 2]),
        node("LeakyRelu", ["p"], ["l"], alpha=0.25),
        node("Softmax", ["l"], ["y"], axis=1),
    ]
    constants = {"w": floats(rng, 4, 3, 1, 1), "v": floats(rng, 4, 4, 1, 1)}
    path = saved(build(nodes, constants), tmp_path)
    inspection = inspect_model(path)
    assert [row.verdict for row in inspection.layers] == [
        "ok",
        "folded into c",
        "ok",
        "ok",
        "folded into d",
        "folded into a",
        "ok",
        "has a slope of 0.25 for negative numbers: no hardware yet",
        "left to the host",
    ]
    assert inspection.supported and all(row.supported for row in inspection.layers)
    assert inspection.macs == load_network(path).macs


@pytest.mark.parametrize(
    "parts",
    [
        ("cifar10_resnet", "resnet20_bn.onnx"),
        ("imagenet", "mobilenet_v1_0.25_128.onnx"),
        ("mlperf_tiny", "ad_autoencoder.onnx"),
        ("mnist", "lenet_caffe.onnx"),
    ],
)
def test_real_networks(parts):
    inspection = inspect_model(data_folder(*parts))
    assert inspection.supported
    assert not any(row.verdict.endswith(": no hardware yet") for row in inspection.layers)
