"""Models that come quantized: what they compute is kept to the last bit, or refused by name."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantflow import integer_engine
from quantflow.arithmetic import Format
from quantflow.errors import UserError
from quantflow.exporter import export
from quantflow.given import given_weight, quantize_given
from quantflow.graph import Activation, Add, AveragePool, Convolution, Dense, MaxPool
from quantflow.importer import inspect_model, load_network
from quantflow.lenet import demo_images, model_path
from quantflow.tuner.tune import tune
from tests.data import data_folder
from tests.quantflow.onnx_graphs import saved
from tests.quantflow.quantized_graphs import RandomGraph, every_kind
from tests.quantflow.quantized_models import Model, biased, fixed, given_network, kept
from tests.quantflow.test_exporter import CHOICES, REAL, onnxruntime_maps


def kinds(network):
    return [type(layer) for layer in network.layers]


def assert_round_trip(quantized, images, tmp_path):
    """Exported and imported again, every map that is still one has the same integers."""
    network = load_network(saved(export(quantized, host=False), tmp_path))
    again = quantize_given(network)
    expected, given = (integer_engine.run(each, images) for each in (quantized, again))
    merged = {layer.name for layer in quantized.network.layers} - {layer.name for layer in network.layers}
    changed = {name for layer in quantized.network.layers if layer.name in merged for name in layer.inputs}
    assert all(isinstance(quantized.network[name], Activation) for name in merged)
    assert given.keys() == expected.keys() - merged and quantized.network.layers[-1].name not in changed
    for name in given.keys() - changed:
        assert again.output_format(name) == quantized.output_format(name)
        np.testing.assert_array_equal(given[name], expected[name], err_msg=name)
    for name, entry in again.layers.items():
        np.testing.assert_array_equal(entry.weight, quantized.layers[name].weight)
        np.testing.assert_array_equal(entry.weight_fl, quantized.layers[name].weight_fl)
        np.testing.assert_array_equal(entry.bias, quantized.layers[name].bias)
        assert entry.weight_bits <= quantized.layers[name].weight_bits


@pytest.mark.parametrize("choice", [*CHOICES, {"bits": 16}, {"bits": 11, "signed": False}], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_exported_comes_back(seed, choice, tmp_path):
    graph = every_kind(seed, **choice)
    assert_round_trip(graph.quantized, graph.images(5), tmp_path)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [8, 5])
def test_upper_bounds_of_each_channel_come_back(bits, signed, tmp_path):
    graph = RandomGraph(4, (3, 5, 5), bits=bits, signed=signed)
    bounds = np.float32([0.2, 0.5, 0.9])
    name = graph.convolution("image", 3, share=bounds)
    name = graph.activation(name, np.float32([0.1, 0.2, 0.3]), maximum=graph.bound(name) * bounds[::-1])
    graph.dense(graph.activation(name, 0.5, maximum=graph.bound(name) / 2), 3, relu=True, share=bounds)
    assert_round_trip(graph.quantized, graph.images(30), tmp_path)
    network = load_network(saved(export(graph.quantized), tmp_path))
    assert [np.shape(layer.maximum) for layer in network.layers] == [(3,), (3,), (), (3,)]


@pytest.mark.parametrize("bits", [8, 5])
def test_the_embedded_lenet_comes_back(bits, tmp_path):
    (images, _), _ = demo_images()
    tuned = tune(load_network(model_path()), images[:32], activation_bits=bits, weight_bits=bits, per_channel=bits < 8)
    assert_round_trip(tuned, images[32:64], tmp_path)


@pytest.mark.parametrize("name", REAL)
def test_real_networks_come_back(name, tmp_path):
    folder, file, load_images = REAL[name]
    network, images = load_network(data_folder(folder, file)), load_images(8).astype(np.float32)
    assert_round_trip(tune(network, images, weight_bits=4, method="paper"), images, tmp_path)


def test_formats_worked_by_hand(tmp_path):
    model = Model()
    value = model.conv(model.rounded("x", 0.5, np.uint8), model.weight(3, 2, 3, 3, scale=[0.25, 2, 1]))
    model.rounded(model.node("Relu", value), 2**-3, np.int16)
    network = load_network(saved(model.proto, tmp_path))
    conv = network.layers[0]
    assert kinds(network) == [Convolution] and conv.relu
    assert network.formats == {
        "x": Format(bits=8, fl=1, signed=False),
        conv.name: Format(bits=16, fl=3),
    }
    given = network.weight_formats[conv.name]
    assert (given.bits, given.fl.tolist()) == (8, [2, -1, 0])
    (integers,) = (array for array in map(numpy_helper.to_array, model.constants) if array.ndim == 4)
    np.testing.assert_array_equal(given_weight(conv, given), integers)
    np.testing.assert_array_equal(conv.weight, integers * np.reshape([0.25, 2, 1], (3, 1, 1, 1)))
    verdicts = [row.verdict for row in inspect_model(saved(model.proto, tmp_path)).layers]
    assert verdicts == ["the format of x", "removed", "ok", f"folded into {conv.name}", f"the format of {conv.name}",
                        "removed"]  # fmt: skip


def test_weights_have_the_narrowest_width_that_holds_them(tmp_path):
    for largest, bits in ((7, 4), (-8, 4), (8, 5), (1, 2), (0, 2)):
        model = Model()
        integers = np.zeros((1, 2, 1, 1), np.int8)
        integers[0, 1] = largest
        weight = model.node("DequantizeLinear", integers, np.float32(0.5))
        model.node("Conv", "x", weight)
        network = load_network(saved(model.proto, tmp_path))
        assert network.weight_formats[network.layers[0].name].bits == bits


def test_quantizers_and_activations_change_places_only_where_nothing_is_rounded_anew(tmp_path):
    def model_of(second, clip=None):
        model = Model()
        value = model.rounded(model.conv(model.rounded("x")), 2**-2)
        value = model.node("Relu", value) if clip is None else model.node("Clip", value, np.float32(0), clip)
        if second is not None:
            model.rounded(value, second)
        return kept(model, tmp_path)

    assert kinds(model_of(None)) == [Convolution]
    assert kinds(model_of(2**-2)) == [Convolution]
    assert kinds(model_of(2**-1)) == [Convolution, Activation]
    clipped = model_of(2**-2, np.float32(11.1))
    assert kinds(clipped) == [Convolution] and clipped.layers[0].maximum == np.float32(11.1)
    assert kinds(model_of(2**-1, np.float32(11.1))) == [Convolution, Activation]


def test_additions_are_rounded_where_the_model_rounds(tmp_path):
    def model_of(rounds):
        model = Model()
        source = model.rounded("x", 2**-3)
        value = model.conv(source)
        value = model.rounded(value, 2**-1) if rounds else value
        model.rounded(model.node("Relu", model.node("Add", value, source)), 2**-1, np.uint8)
        return kept(model, tmp_path)

    assert kinds(model_of(False)) == [Convolution]
    assert kinds(model_of(True)) == [Convolution, Add]


def test_rounding_behind_what_moves_values_is_rounding_before(tmp_path):
    model = Model()
    value = model.node("MaxPool", model.conv(model.rounded("x")), kernel_shape=[2, 2])
    value = model.node("Pad", value, np.int64([0, 1, 0, 0, 0, 0, 1, 0]), np.float32(0.3))
    model.rounded(model.conv(model.rounded(value, 2**-1), model.weight(2, 3, 3, 3)), 2**-1)
    network = kept(model, tmp_path)
    assert kinds(network)[1] == MaxPool
    assert network.formats.keys() == {"x", network.layers[0].name, network.layers[-1].name}


def test_a_pair_of_quantizers_for_each_reader_is_one_quantizer(tmp_path):
    model = Model()
    value = model.node("Relu", model.conv(model.rounded("x")))
    first, second = model.rounded(value, 2**-2), model.rounded(value, 2**-2)
    value = model.node("Add", model.rounded(model.conv(first), 2**-2), second)
    model.rounded(model.rounded(value, 2**-1), 2**-1)
    assert kinds(kept(model, tmp_path)) == [Convolution, Convolution, Add]


def test_clips_to_a_narrower_range_give_the_width(tmp_path):
    model = Model()
    value = model.conv(model.rounded(model.node("Clip", "x", np.float32(-4), np.float32(3.5)), 0.5))
    model.rounded(model.node("Clip", value, np.float32(0), np.float32(31 * 8)), 8, np.uint8)
    network = kept(model, tmp_path)
    conv = network.layers[0]
    assert network.formats == {"x": Format(bits=4, fl=1), conv.name: Format(bits=5, fl=-3, signed=False)}
    assert conv.relu and conv.maximum is None


def test_a_matrix_may_be_quantized_before_it_is_transposed(tmp_path):
    model = Model(("N", 5))
    weight = model.node("Transpose", model.weight(4, 5, scale=[0.5, 1, 2, 4]), perm=[1, 0])
    value = model.node("MatMul", model.rounded("x"), model.node("Identity", weight))
    bias = model.node("DequantizeLinear", np.int32([300, -70, 6, 0]), np.float32(2**-4))
    model.rounded(model.node("Add", value, bias), 1.0)
    network = kept(model, tmp_path)
    assert network.weight_formats[network.layers[0].name].fl.tolist() == [1, 0, -1, -2]


@pytest.mark.parametrize("transposed", [0, 1])
def test_a_gemm_with_a_scale_for_each_output(transposed, tmp_path):
    model = Model(("N", 5))
    integers, scale = model.rng.integers(-128, 128, (4, 5), np.int8), np.float32([0.5, 1, 2, 4])
    integers = integers if transposed else integers.T
    weight = model.node("DequantizeLinear", integers, scale, axis=0 if transposed else -1)
    model.rounded(model.node("Gemm", model.rounded("x"), weight, transB=transposed), 2.0)
    assert kept(model, tmp_path).weight_formats["gemm3"].fl.tolist() == [1, 0, -1, -2]


def test_float_weights_may_be_quantized_in_the_model(tmp_path):
    model = Model()
    model.rounded(model.conv(model.rounded("x"), model.rounded(model.rng.normal(size=(2, 2, 3, 3)).astype("f"))), 1.0)
    network = kept(model, tmp_path)
    assert network.weight_formats[network.layers[0].name].fl.tolist() == [4, 4]


def test_sixteen_bits_in_onnxruntimes_own_domain(tmp_path):
    model = Model(opset=17)
    parameters = (np.float32(2**-7), np.int16(0))
    integers = model.node("QuantizeLinear", "x", *parameters, domain="com.microsoft")
    value = model.conv(model.node("DequantizeLinear", integers, *parameters, domain="com.microsoft"))
    model.rounded(value, 1.0)
    assert kept(model, tmp_path).formats["x"] == Format(bits=16, fl=7)


def test_what_is_not_given_is_left_open(tmp_path):
    model = Model()
    value = model.rounded(model.conv(model.rounded("x")))
    model.conv(value, model.rng.normal(size=(2, 2, 3, 3)).astype(np.float32))
    network = load_network(saved(model.proto, tmp_path))
    first, second = (layer.name for layer in network.layers)
    assert (network.formats.keys(), network.weight_formats.keys()) == ({"x", first}, {first})
    with pytest.raises(UserError, match=f"model comes without a quantizer for the map of '{second}': tune it on"):
        quantize_given(network)
    network.formats[second] = Format(bits=8, fl=0)
    with pytest.raises(UserError, match=f"comes without a quantizer for the weights of '{second}': tune it on"):
        quantize_given(network)


def static_model(tmp_path):
    """What onnxruntime's static quantization makes of a small residual network, all scales powers of two."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    model = Model(opset=17)
    floats = lambda *shape: model.rng.normal(size=shape).astype(np.float32)  # noqa: E731
    value = model.node("Relu", model.node("Conv", "x", floats(4, 2, 3, 3), floats(4), pads=[1, 1, 1, 1]))
    inner = model.node("Conv", value, floats(4, 4, 3, 3), floats(4), pads=[1, 1, 1, 1])
    value = model.node("MaxPool", model.node("Relu", model.node("Add", inner, value)), kernel_shape=[2, 2])
    value = model.node("Flatten", model.node("GlobalAveragePool", value))
    model.node("Gemm", value, floats(5, 4), floats(5), transB=1)
    images = model.images(8)

    class Reader(quantization.CalibrationDataReader):
        batches = iter([{"x": images}])

        def get_next(self):
            return next(self.batches, None)

    source, target = saved(model.proto, tmp_path, "float.onnx"), tmp_path / "static.onnx"
    options = {"ActivationSymmetric": True, "WeightSymmetric": True}
    quantization.quantize_static(source, target, Reader(), per_channel=True, extra_options=options,
                                 activation_type=quantization.QuantType.QInt8)  # fmt: skip
    return with_powers_of_two(onnx.load(target)), images


def with_powers_of_two(model):
    """The model with each scale at the next power of two; a bias's is that of its input times its weights'."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    made = {node.output[0]: node for node in model.graph.node}
    layers = [[made[name] for name in node.input] for node in model.graph.node if node.op_type in ("Conv", "Gemm")]

    def array(name):
        return numpy_helper.to_array(constants[name])

    def dequantized(node):
        scale, integers = array(node.input[1]), array(node.input[0])
        return integers * scale.reshape(-1, *(1,) * (integers.ndim - 1))

    def change(node, scale, values=None):
        constants[node.input[1]].CopyFrom(numpy_helper.from_array(scale, node.input[1]))
        if values is not None:
            integers = np.rint(values / scale.reshape(-1, *(1,) * (values.ndim - 1)))
            kind = array(node.input[0]).dtype
            constants[node.input[0]].CopyFrom(numpy_helper.from_array(integers.astype(kind), node.input[0]))

    floats = [(weight, dequantized(weight), bias, dequantized(bias)) for _, weight, bias in layers]
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            change(node, np.exp2(np.ceil(np.log2(array(node.input[1])))))
    for (source, *_), (weight, weights, bias, biases) in zip(layers, floats, strict=True):
        change(weight, np.exp2(np.ceil(np.log2(array(weight.input[1])))), weights)
        change(bias, array(source.input[1]) * array(weight.input[1]), biases)
    return model


def test_a_static_quantization_by_onnxruntime_is_kept(tmp_path):
    model, images = static_model(tmp_path)
    network = load_network(saved(model, tmp_path))
    (output,) = (value.name for value in model.graph.output)
    expected = onnxruntime_maps(model, images)[output]
    np.testing.assert_array_equal(fixed(network, images).reshape(expected.shape), expected)
    assert len(np.unique(expected)) > 10
    assert kinds(network) == [Convolution, Convolution, Add, MaxPool, AveragePool, Dense]


def qonnx_quant(x, scale, bits, signed=1, narrow=0):
    """Quant as QONNX's specification defines it, with rounding mode ROUND and zero point 0."""
    least = -(2 ** (bits - 1)) + narrow if signed else 0
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    return np.rint(np.clip(x / scale, least, most)) * scale


@pytest.mark.parametrize("narrow", [0, 1])
def test_qonnx_quantizers_are_kept(narrow, tmp_path):
    model = Model(("N", 5), opset=17)
    floats, scales = model.rng.normal(size=(4, 5)).astype(np.float32), np.float32([[0.5], [0.25], [1], [0.5]])
    value = model.quant("x", 0.5, np.int32(4), operator="IntQuant", rounding_mode="half_even")
    weight = model.quant(floats, scales, 3, narrow=narrow, operator="IntQuant" if narrow else "Quant")
    value = model.node("Relu", model.node("Gemm", value, weight, np.float32([0.25, -1, 2, 0]), transB=1))
    model.quant(value, 0.25, 5, signed=0, rounding_mode="ROUND")
    network, images = load_network(saved(model.proto, tmp_path)), model.images()
    assert network.formats == {"x": Format(bits=4, fl=1), "gemm2": Format(bits=5, fl=2, signed=False)}
    assert network.weight_formats["gemm2"].bits == 3
    sums = qonnx_quant(images, 0.5, 4) @ qonnx_quant(floats, scales, 3, narrow=narrow).T + [0.25, -1, 2, 0]
    expected = qonnx_quant(np.maximum(sums, 0), 0.25, 5, signed=0)
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(fixed(network, images)[:, :, 0, 0], expected)


def test_unsigned_qonnx_weights_take_one_bit_more(tmp_path):
    model = Model(("N", 2), opset=17)
    model.node("MatMul", "x", model.quant(np.float32([[3, 9], [7.5, -1]]), 0.5, 4, signed=0))
    network = load_network(saved(model.proto, tmp_path))
    assert network.weight_formats["matmul1"].bits == 5
    np.testing.assert_array_equal(network.layers[0].weight, [[3, 7.5], [7.5, 0]])


def random_model(seed):
    """Operators and quantizers in random order: some make sense for the machine, some do not."""
    model = Model()
    rng = model.rng = np.random.default_rng(seed)
    usual = 2.0 ** rng.integers(-2, 2)
    values = [model.rounded("x", 2.0 ** rng.integers(-3, 2))]
    for _ in range(rng.integers(2, 9)):
        value = values[-1] if rng.random() < 0.7 else values[rng.integers(len(values))]
        kind = rng.choice(["conv", "conv", "relu", "clip", "pool", "add", "average", "leaky"])
        if kind == "conv":
            value = model.conv(value, model.weight(2, 2, 3, 3, scale=2.0 ** rng.integers(-9, -4, 2)))
        elif kind == "clip":
            value = model.node("Clip", value, np.float32(0), np.float32(rng.choice([1, 2.7, 3.75, 15])))
        elif kind == "add":
            value = model.node("Add", value, values[rng.integers(len(values))])
        elif kind in ("pool", "average"):
            operator = "MaxPool" if kind == "pool" else "AveragePool"
            value = model.node(operator, value, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        else:
            value = model.node(*("Relu", value) if kind == "relu" else ("LeakyRelu", value), **_alpha(kind))
        if rng.random() < 0.1:
            values.append(value)  # the next may read it unrounded
        if rng.random() < 0.7:
            scale, unsigned = usual if rng.random() < 0.9 else usual / 2, rng.random() < 0.1
            value = model.rounded(value, scale, np.uint8 if unsigned else np.int8)
        values.append(value)
    model.rounded(values[-1], usual)
    made = [name for node in model.nodes for name in node.output]
    read = {name for node in model.nodes for name in node.input}
    while unread := [name for name in made[:-1] if name not in read]:
        model.nodes = [node for node in model.nodes if node.output[0] not in unread]
        made = [name for node in model.nodes for name in node.output]
        read = {name for node in model.nodes for name in node.input}
    return model


def _alpha(kind):
    return {"alpha": 0.25} if kind == "leaky" else {}


def test_random_quantizers_are_kept_or_refused(tmp_path):
    exact = 0
    for seed in range(150):
        model = random_model(seed)
        try:
            network = load_network(saved(model.proto, tmp_path))
            computed = fixed(network, images := model.images(3))
        except UserError:
            continue
        expected = onnxruntime_maps(model.proto, images)[model.nodes[-1].output[0]]
        np.testing.assert_array_equal(computed, expected, err_msg=f"seed {seed}")
        exact += len(np.unique(expected)) > 2
    assert exact > 40


def test_quantized_biases_on_the_sums_grid_are_kept(tmp_path):
    for separate in (False, True):
        model = Model()
        biased(model, 2.0**-6, separate)
        conv = kept(model, tmp_path).layers[0]
        np.testing.assert_array_equal(conv.bias, np.float32([4, 3]) * 2**-6)


def test_biases_are_rounded_to_the_sums_grid(tmp_path):
    network = given_network(tmp_path)
    (layer,) = network.layers
    half = np.float32(2.0**-8)  # of the sums' scale
    network = replace(network, layers=(replace(layer, bias=np.float32([3 * half, 5 * half])),))
    assert quantize_given(network).layers[layer.name].bias.tolist() == [2, 2]


def test_a_residual_graph_comes_back_with_its_structure(tmp_path):
    graph = RandomGraph(9, (3, 6, 6))
    first = graph.convolution("image", 4, padding=(1, 1, 1, 1))
    graph.convolution(first, 4, padding=(1, 1, 1, 1), residual=first)
    network = load_network(saved(export(graph.quantized), tmp_path))
    assert [layer.inputs for layer in network.layers] == [("image",), (first, first)]
    assert_round_trip(graph.quantized, graph.images(4), tmp_path)
