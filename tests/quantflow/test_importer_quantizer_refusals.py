"""Quantized models that cannot be kept to the last bit are refused, in one sentence that names the node."""

import re
from dataclasses import replace

import numpy as np
import pytest

from quantflow.accumulation import accumulator_fl, sum_bits
from quantflow.errors import UserError
from quantflow.given import quantize_given
from quantflow.graph import WeightFormat
from quantflow.importer import load_network
from tests.quantflow.onnx_graphs import saved
from tests.quantflow.quantized_models import QONNX, Model, biased, given_network
from tests.quantflow.shifts import shifts


def quantize(model, *parameters, value="x", **attributes):
    return model.node("QuantizeLinear", value, *parameters, **attributes)


def conflicting(model, *scales):
    value = model.conv("x")
    model.node("Add", *(model.rounded(value, scale) if scale else value for scale in scales))


def double(model):
    model.rounded(model.rounded("x", 0.5), 0.25)


def wrong_scale_back(model):
    model.node("DequantizeLinear", quantize(model, np.float32(0.5), np.int8(0)), np.float32(0.25), np.int8(0))


def other_type_back(model):
    model.node("DequantizeLinear", quantize(model, np.float32(0.5), np.int8(0)), np.float32(0.5), np.uint8(0))


def normalized(model):
    ones = np.ones(2, np.float32)
    model.node("BatchNormalization", model.conv("x"), ones, ones, ones, ones)


def padded(model):
    model.conv(model.node("Pad", model.rounded("x", 1.0), np.int64([0, 0, 1, 0, 0, 0, 0, 0]), np.float32(0.3)))


def matrix(model, shape=(72, 3), scale=2.0, **options):
    weight = model.node("DequantizeLinear", np.ones(shape, np.int8), np.float32(scale))
    model.node("Gemm", model.node("Flatten", "x"), weight, **options)


def constant(model, integers, scale, **attributes):
    model.node("Conv", "x", model.node("DequantizeLinear", integers, scale, **attributes))


INT8 = (np.float32(0.5), np.int8(0))
REFUSALS = [
    (lambda m: m.rounded("x", 0.3), "has the scale 0.3; only powers of two such as 0.25 are supported"),
    (lambda m: m.rounded("x", -0.5), "has the scale -0.5; only powers of two are supported"),
    (lambda m: m.rounded("x", 0.5, np.uint8, 128), "has the zero point 128; only 0 is supported: quantize symmetr"),
    (lambda m: quantize(m, np.float32([0.5, 1]), np.zeros(2, np.int8)), "has 2 scales; a feature map has one"),
    (lambda m: quantize(m, np.float32([[0.5]]), np.int8(0)), "has scales of shape [1, 1]; a number or a list"),
    (lambda m: quantize(m, np.float32(0.5), np.int32(0)), "rounds to INT32; only INT8, UINT8, INT16 and UINT16 are"),
    (lambda m: quantize(m, np.float32(0.5), np.float16(0)), "rounds to a type that is not INT8, UINT8, INT16 and"),
    (lambda m: quantize(m, *INT8, block_size=2), "has block_size 2; only 0 is supported"),
    (lambda m: quantize(m, *INT8), "it has an output 'quantizelinear0' of integers; a DequantizeLinear must follow"),
    (lambda m: m.node("Relu", quantize(m, *INT8)), "reads 'quantizelinear0', the integers of a QuantizeLinear; only"),
    (lambda m: m.node("DequantizeLinear", "x", *INT8), "reads 'x', which no QuantizeLinear makes"),
    (wrong_scale_back, "has the scale 0.25 for integers made with 0.5; they must be equal"),
    (other_type_back, "has the zero point 'c3' as UINT8; INT8 is expected"),
    (lambda m: m.node("Quant", "x", np.float32(1), domain=QONNX), "has 2 inputs; 4 are expected"),
    (lambda m: m.quant("x", 1, 4, zero=2), "has the zero point 2; only 0 is supported"),
    (lambda m: m.quant("x", 1, 4, narrow=1), "has narrow 1, which leaves an integer out; only narrow 0 is supported"),
    (lambda m: m.quant("x", 1, 4, signed=2), "has signed 2 and narrow 0; 0 or 1 is expected"),
    (lambda m: m.quant("x", 1, 4, rounding_mode="FLOOR"), "has rounding_mode 'FLOOR'; only ROUND, half to even, is"),
    (lambda m: m.quant("x", 1, 1), "has the bit width 1; one whole number from 2 to 16 is expected"),
    (lambda m: m.quant("x", 1, 2.5), "has the bit width 2.5; one whole number from 2 to 16 is expected"),
    (lambda m: m.quant("x", 1, [4, 5]), "has the bit width [4.0, 5.0]; one whole number from 2 to 16 is expected"),
    (lambda m: m.quant("x", [1, 2], 4), "has 2 scales; a feature map has one"),
    (lambda m: m.node("BipolarQuant", "x", np.float32(1), domain=QONNX), "rounds to -1 and +1; only quantizers to 2"),
    (lambda m: m.node("FloatQuant", "x", domain=QONNX), "rounds to floating-point numbers; only Quant, to integers"),
    (lambda m: m.node("Trunc", "x", domain=QONNX), "cuts off the low bits; only Quant, which rounds half to even"),
    (lambda m: conflicting(m, 0.5, 0.25), "rounds the map of 'conv1' to 8 bits of scale 0.5, which another quantizer "
                                          "rounds to 8 bits of scale 0.25; only one format of a map is supported"),
    (lambda m: conflicting(m, 0.5, None), "rounds the map of 'conv1' to 8 bits of scale 0.5, which is read without "
                                          "rounding as well; quantize it for all its readers or for none"),
    (double, "rounds the map of 'x' to 8 bits of scale 0.25, which is rounded to 8 bits of scale 0.5 before; only one"),
    (normalized, "scales the output of 'conv1', whose weight came quantized; fold it in before"),
    (lambda m: biased(m, 2.0**-8), "has a quantized bias of 0.0117188, no multiple of its sums' scale 0.0078125; give"),
    (padded, "pads with 0.3, which the format of 'x' does not hold"),
    (lambda m: matrix(m, alpha=0.5), "has a quantized weight and an alpha other than 1; scale the weight"),
    (lambda m: matrix(m, (3, 72), [1.0, 2] * 36, transB=1), "has a weight with scales of shape [1, 72]; one for each"),
    (lambda m: constant(m, np.ones((2, 2, 1, 1), np.int8), np.float32([1, 1, 1]), axis=0), "has 3 scales along axis 0"),
    (lambda m: constant(m, np.ones((2, 2, 1, 1), np.int8), np.float32([1, 1]), axis=4), "has 2 scales along axis 4"),
    (lambda m: constant(m, np.full((2, 2, 1, 1), 1 << 20, np.int32), np.float32(1)), "has a weight of 22 bits; at mo"),
    (lambda m: constant(m, np.full((1, 2, 1, 1), 300, np.int16), np.float32(2.0**120)), "makes numbers that exceed fl"),
    (lambda m: constant(m, np.ones((2, 2, 1, 1), np.float16), np.float32(1)), "reads the constant 'c0', which is not"),
    (lambda m: m.conv("x", m.quant(np.ones((2, 2, 3, 3), "f"), [1, 2], 4)), "has scales of shape [2] for a constant"),
    (lambda m: m.node("Mul", "x", m.weight(2, 1, 1)), "reads the quantized constant 'dequantizelinear0'; only weights"),
    (lambda m: m.node("Min", m.conv("x"), np.float32(1)), "is a Min; only behind a Relu, Clip, LeakyRelu or PRelu is"),
    (lambda m: m.node("Min", "x", "x"), "does not bound a computed map by a constant; nothing else is supported"),
    (lambda m: m.node("Min", "x", np.float32(-1)), "has the bound -1; only positive ones are supported"),
    (lambda m: m.node("Clip", "x", "", np.float32(6)), "has min -3.40282e+38 and max 6; only a min of 0 with a posit"),
    (lambda m: m.node("Clip", "x", np.float32(-1), np.float32(1)), "has min -1 and max 1; only a min of 0 with a pos"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "reason"), REFUSALS, ids=[reason[:40] for _, reason in REFUSALS])
def test_refuses_what_the_machine_would_compute_otherwise(build, reason, tmp_path):
    model = Model()
    build(model)
    with pytest.raises(UserError, match=re.escape(reason)):
        load_network(saved(model.proto, tmp_path))


def test_numbers_that_their_type_does_not_hold_are_refused(tmp_path):
    model = Model()
    model.node("Conv", "x", model.node("DequantizeLinear", np.ones((2, 2, 1, 1), np.int8), np.float32(1)))
    proto = model.proto
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].int32_data[:] = [1, 2, 3, 300]
    with pytest.raises(UserError, match="has a number in the input 'c0' that INT8 does not hold"):
        load_network(saved(proto, tmp_path))


def test_refuses_formats_that_do_not_go_together(tmp_path):
    with pytest.raises(UserError, match="the quantizer of 'conv3' has the scale 3.05176e-05, much finer .*; 6.1"):
        quantize_given(given_network(tmp_path, output=2.0**-15))
    assert shifts(quantize_given(given_network(tmp_path, output=2.0**-14)), "conv3").tolist() == [-7, -7]
    assert shifts(quantize_given(given_network(tmp_path, output=2.0**40)), "conv3").tolist() == [47, 47]
    with pytest.raises(UserError, match="the scale 2.19902e[+]12, much coarser .*; 1.09951e[+]12 is the coarsest that"):
        quantize_given(given_network(tmp_path, output=2.0**41))
    quantized = quantize_given(given_network(tmp_path, residual=2.0**-5))
    assert set(accumulator_fl(quantized, quantized.network.layers[-1])) == {5}  # the residual's
    network = given_network(tmp_path)
    (layer,) = network.layers
    network.weight_formats[layer.name] = WeightFormat(bits=8, fl=np.int32([5, 6]))
    with pytest.raises(UserError, match="the weight .* of layer 'conv3' is no integer of 8 bits times the given scale"):
        quantize_given(network)


def test_refuses_sums_beyond_the_accumulator(tmp_path, monkeypatch):
    network = given_network(tmp_path)
    (layer,) = network.layers
    with pytest.raises(UserError, match="a bias of layer 'conv3' takes more than 48 bits at the scale of its sums"):
        quantize_given(replace(network, layers=(replace(layer, bias=np.float32([1, 2.0**40])),)))
    bits = sum_bits(quantize_given(network), layer)
    monkeypatch.setattr("quantflow.given.MAX_ACCUMULATOR_BITS", bits - 1)
    with pytest.raises(UserError, match=f"layer 'conv3' needs sums of {bits} bits; at most {bits - 1} will do"):
        quantize_given(network)
