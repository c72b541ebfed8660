"""Exported networks: onnxruntime gives the integer engine's integers at every layer."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from quantflow import integer_engine, tuned_file
from quantflow.arithmetic import Format, dequantize
from quantflow.cli import main
from quantflow.errors import UserError
from quantflow.exporter import export
from quantflow.exporter.exactness import exact_in_float32, layer_figures
from quantflow.graph import HostOperator
from quantflow.importer import load_network
from quantflow.lenet import demo_images, model_path
from quantflow.tuner.tune import tune
from tests.data import data_folder
from tests.quantflow.quantized_graphs import RandomGraph, every_kind

CHOICES = [
    {},
    {"signed": False},
    {"bits": 4, "weight_bits": 4},
    {"bits": 3, "weight_bits": 2, "signed": False},
    {"bits": 2, "weight_bits": 3},
    {"bits": 6, "weight_bits": 12},
]


def onnxruntime_maps(model, images):
    """Every value that the model declares, by name, as onnxruntime computes it without optimizations."""
    onnxruntime = pytest.importorskip("onnxruntime")
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.output.extend(model.graph.value_info)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    sizes = session.get_inputs()[0].shape[1:]
    outputs = session.run(None, {session.get_inputs()[0].name: images.reshape(len(images), *sizes)})
    return dict(zip(names, outputs, strict=True))


def assert_same_integers(quantized, images):
    """Every map equals the integer engine's: its integers where it is rounded, and its floats."""
    expected = integer_engine.run(quantized, images)
    computed = onnxruntime_maps(export(quantized, host=False), images)
    for name, integers in expected.items():
        if f"{name}:quantized" in computed:
            given = computed[f"{name}:quantized"]
            assert given.dtype == quantized.output_format(name).dtype
            np.testing.assert_array_equal(given.reshape(integers.shape), integers, err_msg=name)
        if name != quantized.network.input_name:
            floats = dequantize(integers, quantized.output_format(name))
            np.testing.assert_array_equal(computed[name].reshape(integers.shape), floats, err_msg=name)
    rounded = {quantized.network.input_name, *quantized.layers, *quantized.formats}
    assert {f"{name}:quantized" for name in rounded} <= computed.keys()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_layer(seed, choice):
    graph = every_kind(seed, **choice)
    assert all(layer["exact_in_float32"] for layer in layer_figures(graph.quantized))
    assert_same_integers(graph.quantized, graph.images(7))


@pytest.mark.parametrize("choice", [{"bits": 16, "weight_bits": 3}, {"bits": 13, "weight_bits": 5, "signed": False}])
def test_wide_maps(choice):
    graph = RandomGraph(7, (2, 6, 6), **choice)
    name = graph.convolution("image", 3, (2, 2), signed=True, per_channel=True, relu=False)
    name = graph.activation(graph.pool(name, (2, 2)), 0.3)
    graph.dense(graph.add(name, name), 4, signed=True)
    assert [entry["exact_in_float32"] for entry in layer_figures(graph.quantized)] == [True, True, True, True]
    assert_same_integers(graph.quantized, graph.images(20))


def test_upper_bounds_of_each_channel():
    graph = RandomGraph(4, (3, 5, 5))
    bounds = np.float32([0.2, 0.5, 0.9])
    name = graph.convolution("image", 3, share=bounds)
    name = graph.activation(name, np.float32([0.1, 0.2, 0.3]), maximum=graph.bound(name) * bounds[::-1])
    name = graph.activation(name, 0, maximum=graph.bound(name) * bounds)
    graph.dense(name, 3, relu=True, share=bounds)
    assert_same_integers(graph.quantized, graph.images(30))


@pytest.mark.parametrize("kernel", [(1, 3), (3, 3), (7, 7), (8, 8), (1, 10)])
@pytest.mark.parametrize("signed", [True, False])
def test_averages_are_rounded_alike_at_and_beside_ties(kernel, signed):
    graph = RandomGraph(3, (5, *kernel), signed=signed)
    name = graph.average("image", kernel, signed=signed)
    for finer in range(-2, 4):
        fl = min(graph.quantized.input.fl + finer, graph.quantized.formats[name].fl)
        quantized = replace(graph.quantized, formats={name: Format(bits=8, fl=fl, signed=signed)})
        assert exact_in_float32(quantized, quantized.network[name])
        assert_same_integers(quantized, graph.images(400))


def test_sums_beyond_float32_are_named():
    """2**28 + 2**13 + 1, shifted by 14, is just above a tie; float32 loses the one."""
    graph = RandomGraph(5, (3, 1, 1), bits=16, weight_bits=16)
    name = graph.dense("image", 1)
    fl = graph.quantized.input.fl
    numbers = {"weight": np.int32([[1 << 14, 1 << 13, 1]]), "bias": np.array([0]), "weight_fl": np.int32([14])}
    format = Format(bits=16, fl=fl)
    entry = replace(graph.quantized.layers[name], output=format, **numbers)
    graph.quantized.layers[name] = entry
    (figures,) = layer_figures(graph.quantized)
    assert (figures["name"], figures["exact_in_float32"]) == (name, False)
    assert figures["accumulator_bits"] == 31
    images = dequantize(np.int32([[1 << 14, 1, 1]]).reshape(1, 3, 1, 1), format).astype(np.float32)
    assert integer_engine.run(graph.quantized, images)[name].item() == (1 << 14) + 1
    assert onnxruntime_maps(export(graph.quantized), images)[f"{name}:quantized"].item() == 1 << 14


def test_an_average_of_many_taps_to_many_bits_is_not_promised():
    graph = RandomGraph(5, (1, 20, 7), bits=16)
    name = graph.average("image", (20, 7))
    assert not exact_in_float32(graph.quantized, graph.quantized.network[name])
    graph.quantized.formats[name] = Format(bits=8, fl=graph.quantized.input.fl)
    assert exact_in_float32(graph.quantized, graph.quantized.network[name])


def test_a_bias_beyond_32_bits_becomes_float():
    graph = RandomGraph(5, (4, 1, 1))
    name = graph.dense("image", 2)
    entry = graph.quantized.layers[name]
    graph.quantized.layers[name] = replace(entry, bias=np.array([1 << 40, -(1 << 40)]))
    model = export(graph.quantized)
    (bias,) = [constant for constant in model.graph.initializer if constant.name == f"{name}:bias"]
    assert bias.data_type == TensorProto.FLOAT
    assert_same_integers(graph.quantized, graph.images(9))


def test_the_model_is_plain_onnx_of_the_least_opset():
    opsets = {}
    for bits in (8, 16):
        graph = RandomGraph(1, (2, 5, 5), bits=bits)
        graph.average(graph.convolution("image", 3), (2, 2), dilation=(2, 2))
        model = export(graph.quantized)
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} == {""}
        opsets[bits] = model.opset_import[0].version
    graph = RandomGraph(1, (2, 5, 5))
    graph.convolution("image", 3)
    assert (export(graph.quantized).opset_import[0].version, opsets) == (13, {8: 19, 16: 21})
    scales = [onnx.numpy_helper.to_array(c) for c in model.graph.initializer if c.name.endswith(":scale")]
    assert scales and all((np.frexp(scale)[0] == 0.5).all() for scale in scales)


def test_any_number_of_images_and_the_float_models_shapes():
    graph = RandomGraph(2, (6, 1, 1))
    name = graph.activation(graph.dense("image", 5), 0.5)
    model = export(graph.quantized)
    (source,), (output,) = model.graph.input, model.graph.output
    sizes = [[size.dim_param or size.dim_value for size in v.type.tensor_type.shape.dim] for v in (source, output)]
    assert (source.name, output.name, sizes) == ("image", name, [["N", 6], ["N", 5]])
    for count in (1, 3):
        assert_same_integers(graph.quantized, graph.images(count))


def test_names_that_collide_stay_apart():
    graph = RandomGraph(2, (3, 4, 4))
    graph.convolution("image", 2)
    network = graph.quantized.network
    layer = replace(network.layers[0], name="image:quantized")
    entry = replace(graph.quantized.layers["convolution0"], name="image:quantized")
    quantized = replace(graph.quantized, network=replace(network, layers=(layer,)), layers={"image:quantized": entry})
    images = graph.images(3)
    computed = onnxruntime_maps(export(quantized), images)
    expected = integer_engine.run(quantized, images)
    np.testing.assert_array_equal(computed["image:quantized:quantized"], expected["image:quantized"])
    np.testing.assert_array_equal(computed["image:quantized_2"], expected["image"])


def with_host(graph, *operators):
    host = tuple(HostOperator(operator=operator, name=operator.lower(), axis=axis) for operator, axis in operators)
    return replace(graph.quantized, network=replace(graph.quantized.network, host=host))


def test_host_operators_follow_or_are_left_out():
    graph = RandomGraph(2, (3, 4, 4))
    name = graph.dense("image", 5)
    quantized, images = with_host(graph, ("Softmax", 1), ("ArgMax", 1)), graph.images(4)
    classes = onnxruntime_maps(export(quantized), images)["argmax"]
    integers = integer_engine.run(quantized, images)[name][:, :, 0, 0]
    np.testing.assert_array_equal(classes, integers.argmax(axis=1)[:, None])
    assert export(quantized, host=False).graph.output[0].name == name
    shares = onnxruntime_maps(export(with_host(graph, ("Softmax", 1))), images)["softmax"]
    powers = np.exp(dequantize(integers, quantized.output_format(name)))
    np.testing.assert_allclose(shares, powers / powers.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
def test_refuses_a_host_operator_of_uncertain_axis(axis):
    graph = RandomGraph(2, (3, 4, 4))
    graph.convolution("image", 2) if axis == 1 else graph.dense("image", 5)
    with pytest.raises(UserError, match=f"Softmax 'softmax' behind the network works along axis {axis}.*--no-host"):
        export(with_host(graph, ("Softmax", axis)))


def test_refuses_scales_beyond_float32():
    graph = RandomGraph(2, (3, 4, 4))
    graph.convolution("image", 2)
    high = replace(graph.quantized, input=Format(bits=8, fl=-121))
    with pytest.raises(UserError, match=r"the map of 'image' has the scale 2\*\*121, .* to 2\*\*119 can be exported"):
        export(high)
    low = replace(graph.quantized, input=Format(bits=8, fl=126))
    entry = low.layers["convolution0"]
    low = replace(low, layers={entry.name: replace(entry, weight_fl=np.int32([0, 1]))})
    with pytest.raises(UserError, match=r"a sum of layer 'convolution0' has the scale 2\*\*-127, .* from 2\*\*-126"):
        export(low)


def test_refuses_a_model_beyond_the_formats_limit(monkeypatch):
    graph = RandomGraph(2, (3, 4, 4))
    graph.convolution("image", 2)
    monkeypatch.setattr("quantflow.exporter.MAX_BYTES", 500)
    with pytest.raises(UserError, match="random makes an ONNX file of [0-9]+ bytes; it may have 500"):
        export(graph.quantized)


def test_the_command_writes_model_and_figures(tmp_path, capsys):
    (images, _), _ = demo_images()
    network = load_network(model_path())
    tuned_file.save(tune(network, images[:50]), tmp_path / "tuned")
    main_of("export", tmp_path / "tuned", "-o", tmp_path / "model.onnx", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    model = onnx.load(tmp_path / "model.onnx")
    assert (figures["bytes"], figures["nodes"]) == (model.ByteSize(), len(model.graph.node))
    assert [layer["name"] for layer in figures["layers"]] == [
        layer.name for layer in network.layers if hasattr(layer, "weight")
    ]
    shown = capsys.readouterr().out
    assert "exact" in shown and "may" not in shown and f"{len(model.graph.node)} nodes, opset 13" in shown


def test_the_command_names_what_float32_may_round(tmp_path, capsys):
    network = load_network(model_path())
    tuned = tune(network, demo_images()[0][0][:20], activation_bits=16, weight_bits=16)
    tuned_file.save(tuned, tmp_path / "tuned")
    main_of("export", tmp_path / "tuned", "-o", tmp_path / "model.onnx", "--no-host")
    assert "float32 is not proved to hold the sums of" in capsys.readouterr().out


def main_of(*arguments):
    with pytest.raises(SystemExit) as finished:
        main([str(argument) for argument in arguments])
    assert finished.value.code in (0, None)


@pytest.mark.parametrize("bits", [(8, 8), (4, 3)], ids=str)
def test_the_embedded_lenet(bits):
    activation_bits, weight_bits = bits
    (images, _), _ = demo_images()
    options = {"activation_bits": activation_bits, "weight_bits": weight_bits, "per_channel": weight_bits < 8}
    assert_same_integers(tune(load_network(model_path()), images[:32], **options), images[32:96])


def mnist(count):
    return np.load(data_folder("mnist", "mnist.npz"))["x_test"][:count, None] / 256


def cifar10(count):
    return np.load(data_folder("cifar10", "cifar10_test1k.npz"))["x"][:count]


def cifar10_normalized(count):
    mean, deviation = (np.reshape(v, (3, 1, 1)) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (cifar10(count) / 255 - mean) / deviation


def imagenet(count):
    image = pytest.importorskip("PIL.Image")
    images = []
    with zipfile.ZipFile(data_folder("imagenet", "imagenet1000_256.zip")) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        for name in names[:: len(names) // count][:count]:
            picture = image.open(archive.open(name)).convert("RGB").crop((16, 16, 240, 240))
            images.append(np.asarray(picture.resize((128, 128), image.Resampling.BILINEAR)).transpose(2, 0, 1))
    return (np.stack(images) - 128.0) / 128


REAL = {
    "lenet": ("mnist", "lenet_caffe.onnx", mnist),
    "resnet8": ("mlperf_tiny", "ic_resnet8_cifar10.onnx", cifar10),
    "resnet20": ("cifar10_resnet", "resnet20.onnx", cifar10_normalized),
    "mobilenet": ("imagenet", "mobilenet_v1_0.25_128.onnx", imagenet),
}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("weight_bits", [8, 4])
def test_real_networks(name, weight_bits):
    folder, file, load_images = REAL[name]
    network, images = load_network(data_folder(folder, file)), load_images(24).astype(np.float32)
    quantized = tune(network, images[:8], weight_bits=weight_bits, method="paper")
    assert all(layer["exact_in_float32"] for layer in layer_figures(quantized))
    assert_same_integers(quantized, images[8:])
