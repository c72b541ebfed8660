"""ONNX models that come quantized, built node by node, and what they compute."""


import numpy as np
from onnx import TensorProto, helper, numpy_helper

from quantflow import integer_engine
from quantflow.arithmetic import dequantize
from quantflow.given import quantize_given
from quantflow.importer import load_network
from tests.quantflow.onnx_graphs import saved
from tests.quantflow.test_exporter import onnxruntime_maps

QONNX = "qonnx.custom_op.general"


class Model:
    """An ONNX model with quantizers, node by node; every method gives its output's name."""

    def __init__(self, input_shape=("N", 2, 6, 6), opset=21):
        self.input_shape, self.opset = input_shape, opset
        self.rng = np.random.default_rng(1)
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, operator, *inputs, domain="", **attributes):
        inputs = [name if isinstance(name, str) else self.constant(name) for name in inputs]
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def rounded(self, value, scale=2**-4, kind=np.int8, zero=0):
        """`value` behind QuantizeLinear and DequantizeLinear."""
        parameters = (np.float32(scale), kind(zero))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", value, *parameters), *parameters)

    def weight(self, *shape, scale=2**-6):
        """Random int8 weights behind a DequantizeLinear; a list of scales is one for each output channel."""
        axis = {"axis": 0} if np.ndim(scale) else {}
        integers = self.rng.integers(-128, 128, shape, dtype=np.int8)
        return self.node("DequantizeLinear", integers, np.float32(scale), np.zeros(np.shape(scale), np.int8), **axis)

    def conv(self, value, weight=None, bias=None):
        weight = self.weight(2, 2, 3, 3) if weight is None else weight
        return self.node("Conv", value, weight, *([] if bias is None else [bias]), pads=[1, 1, 1, 1])

    def quant(self, value, scale, bits, zero=0.0, operator="Quant", **attributes):
        bits = bits if isinstance(bits, np.int32) else np.float32(bits)
        return self.node(operator, value, np.float32(scale), np.float32(zero), bits, domain=QONNX, **attributes)

    @property
    def proto(self):
        output, read = self.nodes[-1].output[0], {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [constant for constant in self.constants if constant.name in read],
        )
        domains = {node.domain for node in self.nodes} - {""}
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def images(self, count=20):
        return self.rng.normal(scale=4, size=(count, *self.input_shape[1:])).astype(np.float32)


def fixed(network, images):
    """The given network's output as floats."""
    quantized = quantize_given(network)
    name = network.layers[-1].name
    images = images.reshape(-1, *network.input_shape)
    integers = integer_engine.run(quantized, images, keep=False)[name]
    return dequantize(integers, quantized.output_format(name))


def kept(model, tmp_path):
    """The network of a Model, after the check that the integer engine gives onnxruntime's output exactly."""
    network, images = load_network(saved(model.proto, tmp_path)), model.images()
    expected = onnxruntime_maps(model.proto, images)[model.nodes[-1].output[0]]
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(fixed(network, images).reshape(expected.shape), expected)
    return network


def biased(model, scale, separate=False):
    """A convolution whose bias is quantized with `scale`, in it or added behind."""
    integers = np.int32([4, 3]).reshape((2, 1, 1) if separate else 2)
    value, bias = model.rounded("x", 0.5), model.node("DequantizeLinear", integers, np.float32(scale))
    value = model.conv(value, bias=None if separate else bias)
    if separate:
        value = model.node("Add", value, bias)
    model.rounded(value, 1.0)


def given_network(tmp_path, output=1.0, residual=None):
    """The network of a quantized convolution with these scales, of its residual input if any."""
    model = Model()
    source = model.rounded("x", residual or 0.5)
    value = model.conv(model.rounded(model.conv(source), 4.0)) if residual else model.conv(source)
    model.rounded(model.node("Add", value, source) if residual else value, output)
    return load_network(saved(model.proto, tmp_path))
