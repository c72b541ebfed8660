"""The integer engine on whole networks, against plain Python integers and cases worked by hand."""

import weakref

import numpy as np
import pytest

from quantflow import correlation, integer_engine
from quantflow.arithmetic import Format, quantize
from quantflow.graph import Convolution, MaxPool, Network, Window
from quantflow.integer_engine import run, run_integers
from quantflow.quantized import QuantizedNetwork
from tests.quantflow.naive import naive_maps
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.one_layer import one_dense
from tests.quantflow.quantized_graphs import every_kind


def assert_equals_naive(quantized, images):
    maps = run_integers(quantized, images, keep=True)
    for index, image in enumerate(images):
        for name, naive in naive_maps(quantized, image.tolist()).items():
            assert maps[name][index].tolist() == naive, name


def random_network(seed, activation_bits, weight_bits):
    builder = RandomNetwork(seed, (3, 9, 8), activation_bits=activation_bits, weight_bits=weight_bits)
    builder.convolution(5, (3, 2), stride=(1, 2), padding=(1, 0, 2, 1))
    builder.pool((3, 2), stride=(2, 1), padding=(1, 1, 0, 0))
    builder.convolution(4, (3, 3), stride=(2, 1), relu=False)
    builder.dense(6).dense(3, relu=False)
    return builder


@pytest.mark.parametrize("bits", [(2, 2), (8, 4), (8, 8), (7, 13), (16, 16)])
def test_equals_plain_python(bits):
    builder = random_network(sum(bits), *bits)
    assert_equals_naive(builder.finish(), builder.images(3))


def test_worked_by_hand():
    # 3*2 - 1*5 + 1 = 2; 2/4 = 0.5 -> 0. 3*7 - 1*1 + 2 = 22; 22/4 = 5.5 -> 6. 3*-8 - 0 - 2 = -26; -6.5 -> -6.
    weight = [[3, -1], [3, -1], [3, 0]]
    quantized = one_dense(weight, [1, 2, -2], output=Format(bits=8, fl=-2))
    images = np.array([[2, 5], [7, 1], [-8, 0]]).reshape(3, 2, 1, 1)
    outputs = run_integers(quantized, images)["y"][:, :, 0, 0]
    assert (outputs[0, 0], outputs[1, 1], outputs[2, 2]) == (0, 6, -6)
    assert outputs.dtype == np.int32


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("bits", "weight_bits", "signed"), [(8, 8, True), (5, 3, True), (16, 12, False)])
def test_networks_with_branches_equal_plain_python(seed, bits, weight_bits, signed):
    graph = every_kind(seed, bits=bits, weight_bits=weight_bits, signed=signed)
    assert_equals_naive(graph.quantized, quantize(graph.images(2), graph.quantized.input))


def test_batches_do_not_change_networks_with_branches(monkeypatch):
    graph = every_kind(9)
    images = quantize(graph.images(7), graph.quantized.input)
    whole = run_integers(graph.quantized, images, keep=True)
    for batch in (1, 3):
        largest = max(map(integer_engine.working_bytes, graph.quantized.network.layers))
        monkeypatch.setattr(integer_engine, "BATCH_BYTES", batch * largest)
        parts = run_integers(graph.quantized, images, keep=True)
        assert all(np.array_equal(whole[name], parts[name]) for name in whole)


def test_inner_maps_are_dropped_after_their_last_reader(monkeypatch):
    graph = every_kind(1)
    network, alive, seen = graph.quantized.network, {}, []
    last_reader = {name: layer.name for layer in network.layers for name in layer.inputs}
    compute = integer_engine.run_layer

    def watched(quantized, layer, *maps):
        done = [each.name for each in network.layers[: network.layers.index(layer)]]
        remaining = {each.name for each in network.layers[network.layers.index(layer) :]}
        expected = {name for name in done if last_reader[name] in remaining}
        seen.append({name for name in done if alive[name]() is not None} == expected)
        result = compute(quantized, layer, *maps).astype(np.float32)
        alive[layer.name] = weakref.ref(result)
        return result

    monkeypatch.setattr(integer_engine, "run_layer", watched)
    run_integers(graph.quantized, quantize(graph.images(1), graph.quantized.input))
    assert len(seen) == len(network.layers) and all(seen)


def test_batches_do_not_change_results(monkeypatch):
    builder = random_network(5, 8, 8)
    quantized, images = builder.finish(), builder.images(7)
    whole = run_integers(quantized, images, keep=True)
    monkeypatch.setattr(
        integer_engine, "BATCH_BYTES", 3 * max(map(integer_engine.working_bytes, quantized.network.layers))
    )
    monkeypatch.setattr(correlation, "COLUMN_BYTES", 2 * 3 * 3 * 2 * 9 * 5 * 4)  # two images of conv1
    parts = run_integers(quantized, images, keep=True)
    assert whole.keys() == parts.keys() == {"image", *(layer.name for layer in quantized.network.layers)}
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    last = quantized.network.layers[-1].name
    output = run_integers(quantized, images)
    assert output.keys() == {last}
    assert np.array_equal(output[last], whole[last])


def test_batches_cover_every_image_once():
    assert integer_engine.batches(5, integer_engine.BATCH_BYTES // 2) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert integer_engine.batches(2, 10 * integer_engine.BATCH_BYTES) == [slice(0, 1), slice(1, 2)]


def test_run_quantizes_the_images_with_the_input_format():
    quantized = one_dense([[1]], [0])
    maps = run(quantized, np.array([0.5, 1.5, -2.6, 900.0], np.float32).reshape(4, 1, 1, 1))
    assert maps["x"].ravel().tolist() == [0, 2, -3, 127]
    assert maps["y"].ravel().tolist() == [0, 2, -3, 127]


def test_a_map_read_twice_is_kept_until_its_last_reader():
    window = Window(kernel=(1, 1))
    common = {"input_shape": (1, 1, 1), "output_shape": (1, 1, 1), "window": window}
    zeros = {"weight": np.zeros((1, 1, 1, 1), np.float32), "bias": np.zeros(1, np.float32)}
    layers = (
        MaxPool(name="a", inputs=("image",), **common),
        Convolution(name="b", inputs=("image",), **common, **zeros),
        MaxPool(name="c", inputs=("a",), **common),
    )
    network = Network(name="fork", input_name="image", input_shape=(1, 1, 1), layers=layers)
    entry = one_dense([[1]], [0]).layers["y"]
    object.__setattr__(entry, "weight", np.ones((1, 1, 1, 1), np.int32))
    quantized = QuantizedNetwork(network=network, input=Format(bits=8, fl=0), layers={"b": entry})
    assert run_integers(quantized, np.full((1, 1, 1, 1), 9))["c"].item() == 9


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 1, 1), int), r"images are \[N, 1, 1, 1\] with N >= 1, not \[1, 2, 1, 1\]"),
        (np.zeros((0, 1, 1, 1), int), r"with N >= 1, not \[0, 1, 1, 1\]"),
        (np.zeros((1, 1, 1, 1)), "quantized images are integers, not float64"),
        (np.full((1, 1, 1, 1), 128), "quantized images lie in -128 to 127, not 128 to 128"),
    ],
)
def test_refuses_images_that_are_not_the_input(images, message):
    with pytest.raises(ValueError, match=message):
        run_integers(one_dense([[1]], [0]), images)
