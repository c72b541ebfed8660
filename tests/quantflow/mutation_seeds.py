"""The sound models that `mutations` damages: what quantflow carries, small graphs of every kind, real networks."""

import os
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, load, numpy_helper

from quantflow import lenet
from tests.data import REPOSITORY
from tests.quantflow.onnx_graphs import RandomChain, build, floats

node = helper.make_node
REAL = ("cifar10_resnet/resnet20.onnx", "cifar10_resnet/resnet20_dynamo.onnx", "mlperf_tiny/*.onnx")


def branches():
    """Residuals, groups, concatenation, every kind of pooling and activation."""
    rng = np.random.default_rng(1)
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], group=2, kernel_shape=[3, 3]),
        node("BatchNormalization", ["c", "s", "s", "s", "var"], ["n"], epsilon=1e-3),
        node("Clip", ["n", "zero", "six"], ["r"]),
        node("Conv", ["r", "v", "b"], ["d"], dilations=[2, 2], pads=[2, 2, 2, 2]),
        node("Add", ["d", "r"], ["a"]),
        node("PRelu", ["a", "p"], ["e"]),
        node("MaxPool", ["e"], ["m"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1),
        node("AveragePool", ["e"], ["k"], kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1),
        node("Concat", ["m", "k"], ["j"], axis=1),
        node("LeakyRelu", ["j"], ["l"], alpha=0.125),
        node("GlobalAveragePool", ["l"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "h", "i"], ["y"], transB=1, alpha=0.5),
    ]
    constants = {"w": floats(rng, 4, 2, 3, 3), "v": floats(rng, 4, 4, 3, 3), "b": floats(rng, 4), "s": floats(rng, 4)}
    constants |= {"var": np.full(4, 0.5, np.float32), "zero": np.float32(0), "six": np.float32(6)}
    constants |= {"p": floats(rng, 4, 1, 1), "h": floats(rng, 3, 8), "i": floats(rng, 3)}
    return build(nodes, {key: np.asarray(array) for key, array in constants.items()}, ("N", 4, 8, 8))


def moves():
    """Pads, slices, splits and transpositions, their numbers in constants."""
    rng = np.random.default_rng(2)
    nodes = [
        node("Pad", ["x", "pads"], ["p"], mode="constant"),
        node("Slice", ["p", "starts", "ends", "axes", "steps"], ["s"]),
        node("Split", ["s", "parts"], ["t", "u"], axis=1),
        node("Conv", ["t", "w"], ["c"]),
        node("Conv", ["u", "v"], ["d"]),
        node("Sum", ["c", "d"], ["a"]),
        node("Mul", ["a", "factor"], ["m"]),
        node("ReduceMean", ["m"], ["r"], axes=[2, 3], keepdims=1),
        node("Squeeze", ["r", "gone"], ["q"]),
        node("MatMul", ["q", "h"], ["z"]),
        node("Softmax", ["z"], ["y"], axis=-1),
    ]
    integers = {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "starts": [0, 1], "ends": [10, 9], "axes": [2, 3]}
    integers |= {"steps": [2, 1], "parts": [1, 2], "gone": [2, 3]}
    constants = {key: np.array(value, np.int64) for key, value in integers.items()}
    constants |= {"w": floats(rng, 2, 1, 3, 3), "v": floats(rng, 2, 2, 3, 3), "factor": floats(rng, 2, 1, 1)}
    return build(nodes, constants | {"h": floats(rng, 2, 5)})


def shape_chain():
    """A reshaping to what Shape, Gather and Concat compute, and a weight computed from others."""
    rng = np.random.default_rng(3)
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "first"], ["n"], axis=0),
        node("Unsqueeze", ["n", "axis"], ["u"]),
        node("ConstantOfShape", ["one"], ["o"], value=numpy_helper.from_array(np.array([-1], np.int64))),
        node("Concat", ["u", "o"], ["t"], axis=0),
        node("Expand", ["few", "wide"], ["e"]),
        node("Tile", ["e", "twice"], ["i"]),
        node("Mul", ["i", "scale"], ["w"]),
        node("Conv", ["x", "w"], ["c"]),
        node("Reshape", ["c", "t"], ["r"]),
        node("Range", ["zero", "count", "step"], ["g"]),
        node("Cast", ["g"], ["b"], to=TensorProto.FLOAT),
        node("MatMul", ["r", "h"], ["m"]),
        node("Add", ["m", "b"], ["y"]),
    ]
    integers = {"first": 0, "axis": [0], "one": [1], "wide": [2, 3, 1, 3], "twice": [1, 1, 3, 1]}
    integers |= {"zero": 0, "count": 4, "step": 1}
    constants = {key: np.array(value, np.int64) for key, value in integers.items()}
    constants |= {"few": floats(rng, 2, 1, 1, 3), "scale": np.array(0.5, np.float32), "h": floats(rng, 72, 4)}
    return build(nodes, constants)


def old_export():
    """As older tools wrote models: an old operator set, attributes for what are inputs now, constants as nodes."""
    rng = np.random.default_rng(4)
    nodes = [
        node("Constant", [], ["w"], value=numpy_helper.from_array(floats(rng, 3, 3, 3, 3))),
        node("Pad", ["x"], ["p"], pads=[0, 0, 1, 1, 0, 0, 1, 1]),
        node("Conv", ["p", "w"], ["c"], auto_pad="SAME_UPPER"),
        node("Clip", ["c"], ["r"], min=0.0, max=6.0),
        node("Slice", ["r"], ["s"], starts=[1, 1], ends=[7, 7], axes=[2, 3]),
        node("Unsqueeze", ["b"], ["k"], axes=[1, 2]),
        node("Add", ["s", "k"], ["a"]),
        node("Dropout", ["a"], ["d"], ratio=0.5),
        node("Reshape", ["d", "flat"], ["f"]),
        node("Gemm", ["f", "h", "b"], ["y"]),
    ]
    constants = {"b": floats(rng, 3), "flat": np.array([0, -1], np.int64), "h": floats(rng, 108, 3)}
    return build(nodes, constants, (2, 3, 8, 8), opset=9, output_shape=(2, 3))


def quantized():
    """A model with quantizers of its own: of the input, an activation, the output, and of weights as integers."""
    rng = np.random.default_rng(5)
    nodes, value = [], "x"
    for index, scale in enumerate(("fine", "coarse", "coarse")):
        names = [f"{letter}{index}" for letter in "qdcr"]
        nodes.append(node("QuantizeLinear", [value, scale, "zero"], names[:1]))
        nodes.append(node("DequantizeLinear", [names[0], scale, "zero"], names[1:2]))
        if index < 2:
            nodes.append(node("DequantizeLinear", [f"w{index}", "small", "zero"], [f"v{index}"]))
            nodes.append(node("Conv", [names[1], f"v{index}"], names[2:3], pads=[1, 1, 1, 1]))
            nodes.append(node("Relu", names[2:3], names[3:]))
        value = names[3]
    scales = {"fine": 2**-5, "coarse": 2**-3, "small": 2**-7}
    constants = {key: np.array(scale, np.float32) for key, scale in scales.items()} | {"zero": np.array(0, np.int8)}
    constants |= {f"w{k}": rng.integers(-128, 128, (3, 3, 3, 3), dtype=np.int8) for k in range(2)}
    return build(nodes, constants, opset=19)


def small_seeds():
    """Serialized models that need no data folder."""
    models = [branches(), moves(), shape_chain(), old_export(), quantized(), quantized()]
    models += [RandomChain(seed).model for seed in range(1000, 1008)]
    return [lenet.model_path().read_bytes(), *(model.SerializeToString() for model in models)]


def real_seeds():
    """Serialized real networks of the data folder that `tests.data` describes; none where there is none."""
    folder = Path(os.environ.get("QUANTFLOW_DATA") or REPOSITORY.parent / "shared" / "data")
    paths = [path for pattern in REAL for path in sorted(folder.glob(pattern))]
    return [load(path).SerializeToString() for path in paths]
