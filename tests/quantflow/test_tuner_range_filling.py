"""Channels scaled by real factors: which ones, by hand, and what is gained."""

import numpy as np
import pytest

from quantflow.arithmetic import Format
from quantflow.errors import UserError
from quantflow.float_engine import run
from quantflow.graph import Activation, AveragePool, WeightFormat
from quantflow.tuned_file import load, save
from quantflow.tuner import tune as tune_module
from quantflow.tuner.channels import channel_classes
from quantflow.tuner.joint import output_error
from quantflow.tuner.layers import Choice
from quantflow.tuner.methods import RANGE_FILLING, STEPS, find_method
from quantflow.tuner.range_filling import IMAGES, LIMIT, fill_ranges, filling_factors
from quantflow.tuner.scaling import channel_peaks
from quantflow.tuner.tune import tune
from tests.quantflow.float_graphs import FloatGraph, every_kind, images
from tests.quantflow.test_exporter import assert_same_integers
from tests.quantflow.test_tuner_equalization import free_kinds
from tests.quantflow.tuned_folders import assert_equal

WITHOUT = tuple(step for step in STEPS if step != RANGE_FILLING)


def choices(network, weight_bits=8, activation_bits=8, unsigned=False):
    names = (network.input_name, *(layer.name for layer in network.layers))
    widths = {"weight_bits": weight_bits, "activation_bits": activation_bits, "unsigned": unsigned}
    return {name: Choice(method=find_method("default"), **widths) for name in names}


def chain(maximum=None, relu=True):
    """1x1, 1x1: a map of four channels between an input and an output of two."""
    graph = FloatGraph(0, (2, 6, 6))
    graph.convolution(graph.convolution("x", channels=4, kernel=(1, 1), relu=relu, maximum=maximum), channels=2)
    return graph.network()


def factors(network, *peaks, **given):
    """Factors of the chain's inner map, `peaks` being its channels'."""
    first, last = (layer.name for layer in network.layers)
    peaks = {"x": np.float32([3, 3]), first: np.float32(peaks), last: np.float32([3, 3])}
    found = filling_factors(network, peaks, choices(network, **given))
    assert found["x"].tolist() == found[last].tolist() == [1, 1], "input and output are never scaled"
    return found[first].tolist()


def test_factors_by_hand():
    """8 bits end at 127 / 16 = 7.9375 where 5 is to be held; what reaches less than half of that is doubled."""
    assert factors(chain(), 5, 4, 7.9375, 0.1) == [7.9375 / 5, 7.9375 / 4, 1, LIMIT]
    # 4 bits end at 7; 4 bits without a sign at 7.5
    given = {"weight_bits": 4, "activation_bits": 4}
    assert factors(chain(), 5, 4, 6, 7, **given) == [7 / 5, 7 / 4, 7 / 6, 1]
    assert factors(chain(), 5, 4, 6, 7, unsigned=True, **given) == [7.5 / 5, 7.5 / 4, 7.5 / 6, 7.5 / 7]
    assert factors(chain(relu=False), 5, 4, 6, 7, unsigned=True, **given) == [7 / 5, 7 / 4, 7 / 6, 1]


def test_a_value_that_rounds_to_the_greatest_is_not_made_smaller():
    assert factors(chain(), 7.95, 5, 5, 5) == [1] + 3 * [7.9375 / 5]


def test_a_silent_channel_and_a_silent_map_stay():
    assert factors(chain(), 5, 0, 1e-7, 4) == [7.9375 / 5, 1, 1, 7.9375 / 4]
    assert factors(chain(), 0, 0, 0, 0) == [1, 1, 1, 1]


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_peaks_that_are_no_numbers_scale_nothing(value):
    assert factors(chain(), 5, value, 3, 4) == [1, 1, 1, 1]


def test_with_fewer_bits_for_weights_channels_stay_but_a_bounded_map_does_not():
    assert factors(chain(), 5, 4, 3, 2, weight_bits=7) == [1, 1, 1, 1]
    assert factors(chain(maximum=6.0), 6, 4, 3, 2, weight_bits=2) == 4 * [7.9375 / 6]


def test_either_layer_with_fewer_bits_is_enough():
    for number in (0, 1):
        network = chain()
        given = choices(network)
        given[network.layers[number].name] = choices(network, weight_bits=4)["x"]
        peaks = {name: np.full(2, 3, "f4") for name in ("x", network.layers[1].name)}
        found = filling_factors(network, peaks | {network.layers[0].name: np.full(4, 5, "f4")}, given)
        assert found[network.layers[0].name].tolist() == [1, 1, 1, 1]


def test_a_bounded_map_is_scaled_as_a_whole_so_that_its_bound_takes_the_greatest_integer():
    assert factors(chain(maximum=6.0), 6, 4, 0.1, 0) == 4 * [7.9375 / 6]
    assert factors(chain(maximum=6.0), 6, 4, 0.1, 0, unsigned=True) == 4 * [255 / 32 / 6]
    assert factors(chain(maximum=np.float32([6, 5, 1, 2])), 6, 4, 0.1, 0) == 4 * [7.9375 / 6]
    # The format that holds 3.5 ends at 3.96875: it is filled, and the bound, which is not reached, has no say.
    assert factors(chain(maximum=6.0), 3.5, 3, 0.1, 0) == 4 * [3.96875 / 3.5]
    assert factors(chain(maximum=0.0), 0, 0, 0, 0) == [1, 1, 1, 1]


def test_channels_that_meet_take_the_least_factor_and_a_bound_goes_first():
    def found(maximum):
        graph = FloatGraph(0, (2, 6, 6))
        first = graph.convolution("x", channels=2, relu=True, kernel=(1, 1), maximum=maximum)
        second = graph.convolution(first, first, channels=2, relu=True, kernel=(1, 1))
        mean = graph.pool(AveragePool, second, (2, 2))
        network = graph.network() if graph.dense(mean, 2) else None
        peaks = {first: [5, 4], second: [6, 2.5], mean: [3, 1.5], "x": [1, 1], network.layers[-1].name: [1, 1]}
        peaks = {name: np.float32(each) for name, each in peaks.items()}
        scaled = filling_factors(network, peaks, choices(network))
        assert scaled[first].tolist() == scaled[second].tolist() == scaled[mean].tolist()
        return scaled[first].tolist()

    # By map: [1.59 1.98], [1.32 2 or more] and, up to 3.97, [1.32 2 or more].
    assert found(None) == [7.9375 / 6, 7.9375 / 4]
    assert found(5.0) == 2 * [7.9375 / 5]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [every_kind, free_kinds])
def test_the_function_stays_on_any_graph(kinds, seed):
    network, x = kinds(seed), images(6, seed)
    found = filling_factors(network, channel_peaks(network, x), choices(network))
    assert all((1 <= each).all() and (each <= LIMIT).all() for each in found.values())
    assert sum(np.any(each > 1) for each in found.values()) > 3
    classes, fixed = channel_classes(network)
    for number in range(len(fixed)):
        met = {float(s) for name, each in found.items() for s in each[classes[name] == number]}
        assert len(met) == 1 and (met == {1.0} or not fixed[number])
    np.testing.assert_allclose(run(fill_ranges(network, x, choices(network)), x), run(network, x), rtol=1e-4, atol=1e-5)


def test_peaks_are_those_of_images_from_all_over_the_calibration_set():
    network = chain()
    calibration = np.random.default_rng(0).normal(size=(2 * IMAGES + 1, 2, 6, 6)).astype("f4")
    sample = channel_peaks(network, calibration[: 2 * IMAGES : 2])
    expected = filling_factors(network, sample, choices(network))[network.layers[0].name]
    filled = fill_ranges(network, calibration, choices(network))
    np.testing.assert_allclose(filled.layers[0].bias / network.layers[0].bias, expected, rtol=1e-6)
    network.layers[0].weight[:] = 0
    network.layers[0].bias[:] = 5
    one = fill_ranges(network, calibration[:1], choices(network))
    np.testing.assert_allclose(one.layers[0].bias, 7.9375)


def errors(network, **options):
    """Squared errors of the outputs with the step and without it, of images that calibrate nothing."""
    calibration, x = images(60), images(60, seed=7)
    y_float = run(network, x)
    return [output_error(tune(network, calibration, steps=each, **options), x, y_float) for each in (STEPS, WITHOUT)]


def uneven(maximum=None):
    """Two 3x3 layers and a dense one, whose maps reach little more than a power of two."""
    graph = FloatGraph(0)
    name = graph.convolution("x", channels=8, relu=True, maximum=maximum)
    name = graph.convolution(name, channels=8, relu=True, maximum=maximum)
    graph.dense(name, 4)
    network = graph.network()
    for layer, reach in zip(network.layers[:2], (2.2, 4.5), strict=True):
        peak = channel_peaks(network, images(60))[layer.name]
        layer.weight[:] *= (reach / peak)[:, None, None, None]
        layer.bias[:] *= reach / peak
    return network


def test_a_map_that_uses_half_of_its_range_gains_a_bit():
    """Values spread over [0, 4.2] need a format up to 7.94: filled, 3.6 times less noise, and it is all the noise."""
    network, random = chain(), np.random.default_rng(3)
    first, last = network.layers
    first.weight[:] = 4.2 * np.float32([[1, 0], [0, 1], [1, 0], [0, 1]])[:, :, None, None]
    first.bias[:] = 0
    calibration, x = random.uniform(size=(2, 60, 2, 6, 6)).astype("f4")
    widths = {"x": 16, first.name: 8, last.name: 16}
    with_it, without = (
        output_error(tune(network, calibration, steps=each, activation_bits=widths, weight_bits=14), x, run(network, x))
        for each in (STEPS, WITHOUT)
    )
    assert with_it < 0.4 * without


def test_maps_that_end_in_a_bound_gain():
    with_it, without = errors(uneven(maximum=1.1), activation_bits=6, weight_bits=4)
    assert with_it < 0.9 * without


def given_map(network):
    network.formats["x"] = Format(bits=8, fl=5)


def given_weights(network):
    layer = network.layers[0]
    layer.weight[:] = np.rint(layer.weight)
    network.weight_formats[layer.name] = WeightFormat(bits=8, fl=np.zeros(len(layer.weight), np.int32))


@pytest.mark.parametrize(
    ("change", "options"),
    [(given_map, {}), (given_weights, {}), (None, {"method": "mse"}), (None, {"steps": WITHOUT})],
    ids=["a given map", "given weights", "another method", "without the step"],
)
def test_it_is_not_taken(change, options, monkeypatch):
    monkeypatch.setattr(tune_module, "fill_ranges", None)
    network = uneven()
    if change is not None:
        change(network)
    assert tune(network, images(3), **options).network is network


def test_a_network_that_overflows_is_still_refused_by_its_layer():
    network = uneven()
    network.layers[1].weight[:] = 3e38
    with (
        pytest.raises(UserError, match="^layer convolution1 gives infinite or undefined values"),
        np.errstate(all="ignore"),
    ):
        tune(network, images(3))


@pytest.fixture(scope="module")
def filled():
    """A tuned network with bounds, real factors and a residual connection."""
    graph = FloatGraph(1)
    around = {"padding": (1, 1, 1, 1)}
    first = graph.convolution("x", channels=4, relu=True, **around)
    second = graph.convolution(first, first, channels=4, relu=True, maximum=2.0, **around)
    leaky = graph.same(Activation, graph.convolution(second, channels=6), slope=np.full(6, 0.125, "f4"))
    graph.dense(graph.pool(AveragePool, leaky, (2, 2)), 3)
    tuned = tune(graph.network(), images(40))
    assert not np.array_equal(tuned.network.layers[0].weight, graph.layers[0].weight)
    return tuned


def test_the_tuned_file_holds_it(filled, tmp_path):
    save(filled, tmp_path / "tuned")
    assert_equal(load(tmp_path / "tuned"), filled)


def test_the_exported_network_computes_the_same_integers(filled):
    assert_same_integers(filled, images(20, seed=5) * 3)
