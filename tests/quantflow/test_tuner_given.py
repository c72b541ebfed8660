"""Models that come with some of their formats: those are kept, the others are chosen."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quantflow.accumulation import accumulator_fl
from quantflow.arithmetic import Format, dequantize, quantize
from quantflow.errors import UserError
from quantflow.float_engine import activations
from quantflow.given import quantize_given
from quantflow.graph import WeightFormat
from quantflow.importer import load_network
from quantflow.integer_engine import run
from quantflow.tuned_file import load, save
from quantflow.tuner.methods import METHODS
from quantflow.tuner.tune import tune
from tests.quantflow.float_graphs import every_kind, images
from tests.quantflow.onnx_graphs import saved
from tests.quantflow.quantized_graphs import RandomGraph
from tests.quantflow.quantized_models import Model
from tests.quantflow.shifts import shifts
from tests.quantflow.test_tuner_graphs import chosen_maps, weighted_layers
from tests.quantflow.tuned_folders import assert_equal_fields


def on_grid(network, names, bits=5):
    """`network` with the weights of the layers `names` rounded to 2**-3 and less, channel by channel, and given."""
    layers, formats = [], {}
    for layer in network.layers:
        if layer.name in names:
            fl = np.arange(len(layer.weight), dtype=np.int32) % 3 + 3
            columns = fl.reshape(-1, *(1,) * (layer.weight.ndim - 1))
            integers = quantize(np.ldexp(layer.weight, columns), Format(bits=bits, fl=0))
            layer = replace(layer, weight=np.ldexp(integers, -columns).astype(np.float32))
            formats[layer.name] = WeightFormat(bits=bits, fl=fl)
        layers.append(layer)
    return replace(network, layers=tuple(layers), weight_formats=formats)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_given_is_kept_and_the_rest_is_chosen(method, seed):
    random = np.random.default_rng(seed)
    float_network = every_kind()
    plain = tune(float_network, images(), method=method, weight_bits=8)
    given_weights = [name for name in weighted_layers(float_network) if random.integers(2)]
    network = on_grid(float_network, given_weights)
    # Coarser formats than those chosen, of another width.
    formats = {
        name: replace(plain.output_format(name), bits=7, fl=plain.output_format(name).fl - 2)
        for name in chosen_maps(network)
        if random.integers(2)
    }
    network = replace(network, formats=formats)
    assert given_weights and formats and len(formats) < len(chosen_maps(network))
    tuned = tune(network, images(), method=method, weight_bits=8, activation_bits=9)
    for name in chosen_maps(network):
        assert tuned.output_format(name) == formats.get(name, tuned.output_format(name))
        assert tuned.output_format(name).bits == (7 if name in formats else 9)
    for name, entry in tuned.layers.items():
        assert entry.weight_bits == (5 if name in given_weights else 8)
        if name in given_weights:
            fl = entry.weight_fl.reshape(-1, *(1,) * (entry.weight.ndim - 1))
            assert np.array_equal(np.ldexp(entry.weight, -fl), network[name].weight)
            sums_fl = accumulator_fl(tuned, network[name])
            assert np.array_equal(entry.bias, np.rint(np.ldexp(network[name].bias.astype(float), sums_fl)))
    last = network.layers[-1].name
    exact = activations(network, images())[last]
    error = dequantize(run(tuned, images())[last], tuned.output_format(last)) - exact
    assert np.abs(error).mean() < 0.5 * np.abs(exact).mean()


def test_the_input_may_be_given():
    network = replace(every_kind(), formats={"x": Format(bits=6, fl=3, signed=True)})
    assert tune(network, images(3), method="paper").input == Format(bits=6, fl=3)


def given_graph(tmp_path, second_weight):
    """x, conv, conv with a quantizer behind each, and float weights in the second."""
    model = Model()
    value = model.rounded(model.conv(model.rounded("x")))
    model.rounded(model.conv(value, second_weight(model)), 2.0**-2)
    return model, load_network(saved(model.proto, tmp_path))


def test_a_model_with_float_weights_in_one_layer(tmp_path):
    model, network = given_graph(tmp_path, lambda model: model.rng.normal(size=(2, 2, 3, 3)).astype(np.float32))
    first, second = network.layers
    assert (len(network.formats), set(network.weight_formats)) == (3, {first.name})
    tuned = tune(network, model.images(), weight_bits=6)
    assert tuned.tuning["given"] == {"maps": ["x", first.name, second.name], "weights": [first.name]}
    assert {name: tuned.output_format(name) for name in network.formats} == network.formats
    assert tuned.layers[first.name].weight_fl.tolist() == [6, 6]
    assert tuned.layers[second.name].weight_bits == 6
    save(tuned, tmp_path / "tuned")
    assert_equal_fields(load(tmp_path / "tuned").layers[second.name], tuned.layers[second.name])


def test_where_all_is_given_nothing_is_chosen(tmp_path):
    _, network = given_graph(tmp_path, lambda model: model.weight(2, 2, 3, 3))
    tuned, expected = tune(network, None), quantize_given(network)
    assert tuned.tuning["method"] == "given"
    assert tuned.tuning["given"]["weights"] == list(tuned.layers)
    assert (tuned.input, tuned.formats) == (expected.input, expected.formats)
    for name, entry in expected.layers.items():
        assert_equal_fields(tuned.layers[name], entry)


def test_refuses_a_given_output_that_the_chosen_weights_do_not_reach(tmp_path):
    graph = RandomGraph(1)
    graph.convolution("image", 3)
    network = graph.quantized.network
    name = network.layers[0].name
    calibration = graph.images(4)
    fl = shifts(tune(network, calibration, weight_bits=2), name).min() + 40
    network = replace(network, formats={name: Format(bits=16, fl=int(fl) + 40)})
    with pytest.raises(
        UserError, match=f"^the quantizer of '{name}' has the scale .*, much finer than the layer's sums"
    ):
        tune(network, calibration, weight_bits=2)


# What is remembered


def test_the_record_says_how_it_was_made(tmp_path):
    network = every_kind()
    widths = dict.fromkeys(chosen_maps(network), 7)
    steps = ["least-squares", "output-error"]
    tuned = tune(network, images(3), activation_bits=widths, weight_bits=3, steps=steps, per_channel=True)
    version = tuned.tuning.pop("quantflow")
    assert version is None or version[0].isdigit()
    assert tuned.tuning == {
        "method": "default",
        "steps": ["least-squares", "output-error"],
        "per_channel": True,
        "weight_bits": 3,
        "activation_bits": widths,
        "calibration_images": 3,
    }
    assert json.loads(json.dumps(tuned.tuning)) == tuned.tuning
    save(tuned, tmp_path / "tuned")
    assert load(tmp_path / "tuned").tuning == tuned.tuning


@pytest.mark.parametrize("method", ["paper", "max", "mse"])
def test_methods_without_steps_have_on_record_what_was_asked_for(method):
    network, calibration = every_kind(), images(2)
    assert tune(network, calibration, method=method).tuning["steps"] == []
    record = tune(network, calibration, method=method, steps=["unsigned-maps"]).tuning
    assert (record["method"], record["steps"]) == (method, ["unsigned-maps"])
