"""ONNX models for the importer's tests, built node by node."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def build(nodes, constants=None, input_shape=("N", 3, 8, 8), *, opset=17, output=None, output_shape=None):
    """A model of `nodes` with one float input 'x'; its output is the last node's first."""
    constants = constants or {}
    name = output or nodes[-1].output[0]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def saved(model, folder, name="model.onnx"):
    """Path of the model's file in `folder`."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def reference(model, images):
    """The model's output by onnx's own evaluator."""
    (output,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: images})
    return output


def onnxruntime_output(model, images):
    """The model's output by onnxruntime; the calling test is skipped where that is not installed."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {model.graph.input[0].name: images})
    return output


def floats(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


class RandomChain:
    """A random chain of supported nodes; `model` is the ONNX model."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants = [], {}
        self.value = "x"
        self.batch = "N" if self.rng.random() < 0.5 else 3
        self.shape = tuple(int(size) for size in self.rng.integers([1, 4, 4], [4, 14, 14]))
        self.input_shape = (self.batch, *self.shape)
        self.after_linear = False
        for _ in range(self.rng.integers(1, 7)):
            self._grow(self.rng.choice(["conv", "conv", "pool", "relu", "normalize", "identity", "bias"]))
        self._conv()
        if self.rng.random() < 0.8:
            self._flatten()
            for _ in range(self.rng.integers(1, 5)):
                self._grow(self.rng.choice(["gemm", "matmul", "relu", "normalize", "identity", "bias"]))
        opset = int(self.rng.choice([15, 17, 21]))  # the evaluator's older BatchNormalization is in training
        self.model = build(self.nodes, self.constants, self.input_shape, opset=opset)

    def _grow(self, kind):
        linear = self.after_linear
        if kind in ("conv", "pool", "gemm", "matmul", "identity"):
            getattr(self, f"_{kind}")()
        elif linear:  # what is folded must find something to be folded into
            getattr(self, f"_{kind}")()

    def _node(self, operator, *inputs, **attributes):
        output = f"v{len(self.nodes)}"
        name = f"{operator.lower()}{len(self.nodes)}" if self.rng.random() < 0.7 else ""
        inputs = [self.value, *inputs]
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        self.value = output

    def _constant(self, array):
        name = f"c{len(self.constants) + len(self.nodes)}_{self.rng.integers(1 << 30)}"
        if self.rng.random() < 0.8:
            self.constants[name] = array
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        return name

    def _window(self, most_padding):
        kernel = [int(self.rng.integers(1, min(5, size) + 1)) for size in self.shape[1:]]
        pads = [int(self.rng.integers(0, most_padding(size) + 1)) for size in (*kernel, *kernel)]
        strides = [int(self.rng.integers(1, 4)) for _ in kernel]
        sizes = [
            (size + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1
            for axis, size in enumerate(self.shape[1:])
        ]
        return {"kernel_shape": kernel, "pads": pads, "strides": strides}, sizes

    def _conv(self):
        window, sizes = self._window(lambda size: size)
        channels = int(self.rng.integers(1, 6))
        inputs = [self._constant(floats(self.rng, channels, self.shape[0], *window["kernel_shape"]))]
        if self.rng.random() < 0.6:
            inputs.append(self._constant(floats(self.rng, channels)))
        if self.rng.random() < 0.5:
            del window["kernel_shape"]
        self._node("Conv", *inputs, **window)
        self.shape, self.after_linear = (channels, *sizes), True

    def _pool(self):
        window, sizes = self._window(lambda size: size - 1)
        while window["strides"] == [1, 1] and any(window["pads"]):  # which onnx 1.23's evaluator gets wrong
            window, sizes = self._window(lambda size: size - 1)
        self._node("MaxPool", **window)
        self.shape = (self.shape[0], *sizes)
        self.after_linear = False

    def _relu(self):
        self._node("Relu")
        self.after_linear = False

    def _normalize(self):
        count = self.shape[0]
        scale, bias, mean = (floats(self.rng, count) for _ in range(3))
        variance = self.rng.uniform(0.1, 2, count).astype(np.float32)
        inputs = [self._constant(array) for array in (scale, bias, mean, variance)]
        self._node("BatchNormalization", *inputs, epsilon=0.01)

    def _identity(self):
        self._node(self.rng.choice(["Identity", "Dropout"]))

    def _bias(self):
        self._node("Add", self._constant(floats(self.rng, self.shape[0], *(1,) * (len(self.shape) - 1))))

    def _flatten(self):
        if self.rng.random() < 0.5:
            self._node("Flatten", axis=int(self.rng.choice([1, -3])))
        else:
            count = int(np.prod(self.shape))
            first = 0 if self.batch == "N" else int(self.rng.choice([0, 3]))
            target = [[first, -1], [-1, count]][self.rng.integers(2)]
            self._node("Reshape", self._constant(np.array(target, np.int64)))
        self.shape, self.after_linear = (int(np.prod(self.shape)),), False

    def _gemm(self):
        (features,), outputs = self.shape, int(self.rng.integers(1, 9))
        trans_b = int(self.rng.integers(2))
        weight = floats(self.rng, *((outputs, features) if trans_b else (features, outputs)))
        bias = floats(self.rng, *[(outputs,), (1, outputs), (1,), ()][self.rng.integers(4)])
        inputs = [self._constant(np.asarray(array)) for array in (weight, bias)][: self.rng.integers(1, 3)]
        alpha, beta = self.rng.normal(size=2)
        self._node("Gemm", *inputs, transB=trans_b, alpha=float(alpha), beta=float(beta))
        self.shape, self.after_linear = (outputs,), True

    def _matmul(self):
        (features,), outputs = self.shape, int(self.rng.integers(1, 9))
        self._node("MatMul", self._constant(floats(self.rng, features, outputs)))
        self.shape, self.after_linear = (outputs,), True
