"""The noise that is said of each step, against the noise that the tuned network has."""

import math

import numpy as np
import pytest

from quantflow.accumulation import accumulate, accumulator_fl
from quantflow.float_engine import activations
from quantflow.graph import Dense, WeightFormat
from quantflow.integer_engine import run
from quantflow.tuner import gains as gains_module
from quantflow.tuner import rounding
from quantflow.tuner.methods import METHODS
from quantflow.tuner.tune import tune
from tests.quantflow.float_graphs import every_kind, images
from tests.quantflow.test_tuner_graphs import linear_output, weighted_layers

# The steps that choose one layer's weights, as they come in.
ORDER = ("squared-error", "bias-correction", "least-squares", "output-error", "compensation", "refinement")


def recorded(network, calibration, **options):
    """The tuned network, and the gains by layer."""
    gains = {}
    return tune(network, calibration, record=gains.__setitem__, **options), gains


def true_noise(tuned, calibration):
    """Decibels of noise before the activation of every layer with weights, on all windows."""
    network = tuned.network
    exact, fixed = activations(network, calibration), run(tuned, calibration)
    noise = {}
    for name in tuned.layers:
        layer = network[name]
        y = linear_output(layer, [exact[source] for source in layer.inputs]).astype(np.float64)
        sums = accumulate(tuned, layer, *(fixed[source] for source in layer.inputs)).astype(np.float64)
        error = np.ldexp(sums, -accumulator_fl(tuned, layer)[:, None, None]) - y
        noise[name] = 10 * math.log10(np.square(error).sum() / np.square(y).sum())
    return noise


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [3, 8])
def test_the_last_step_leaves_the_noise_that_the_tuned_network_has(method, bits, monkeypatch):
    monkeypatch.setattr(gains_module, "VALUES", 1000)  # some images at a time
    network, calibration = every_kind(), images(60)
    steps = ORDER if method == "default" else None
    tuned, gains = recorded(network, calibration, method=method, steps=steps, weight_bits=bits, activation_bits=6)
    assert list(gains) == weighted_layers(network)
    for name, noise in true_noise(tuned, calibration).items():
        # A sample of windows (a fully connected layer has one an image, all in the sample) before the bias is rounded.
        tolerance = 0.2 if isinstance(network[name], Dense) else 0.7
        assert list(gains[name].values())[-1] == pytest.approx(noise, abs=tolerance), name


def test_every_step_that_was_taken_is_there_in_the_order_they_come_in():
    network = every_kind()
    for steps in (None, ORDER[:2], ORDER[1:4], ORDER[:0:-1], ()):
        expected = ["nearest", *(step for step in ORDER if steps is None or step in steps)]
        _, gains = recorded(network, images(), steps=steps)
        assert all(list(each) == expected for each in gains.values()), steps
    _, gains = recorded(network, images(), method="mse", per_channel=True)
    assert all(list(each) == ["nearest"] for each in gains.values())


def test_a_layer_with_too_many_inputs_shows_the_steps_that_it_took(monkeypatch):
    monkeypatch.setattr(rounding, "MAX_COLUMNS", 17)
    network = every_kind()
    _, gains = recorded(network, images())
    wide = [name for name in gains if network[name].weight[0].size > 17]
    assert wide and len(wide) < len(gains)
    assert all(list(gains[name]) == ["nearest", "squared-error", "bias-correction"] for name in wide)
    assert all(list(gains[name]) == ["nearest", *ORDER] for name in set(gains) - set(wide))


def test_steps_gain():
    _, gains = recorded(every_kind(), images(200), weight_bits=3)
    for step, least in (("bias-correction", 0), ("compensation", 0.2)):
        before = [list(each.values())[list(each).index(step) - 1] for each in gains.values()]
        assert np.mean(before) - np.mean([each[step] for each in gains.values()]) > least, step


def test_asking_changes_nothing():
    network, calibration = every_kind(), images()
    plain, (asked, _) = tune(network, calibration, weight_bits=3), recorded(network, calibration, weight_bits=3)
    for name, entry in plain.layers.items():
        assert np.array_equal(entry.weight, asked.layers[name].weight)
        assert np.array_equal(entry.bias, asked.layers[name].bias)


def test_no_figure_where_there_is_no_noise_or_no_signal():
    network = every_kind()
    first, *others = weighted_layers(network)
    network[first].weight[:] = 0
    network[first].bias[:] = 0
    _, gains = recorded(network, images(), method="paper")
    assert gains[first] == {"nearest": None}


def test_given_weights_take_no_steps():
    network = every_kind()
    name = weighted_layers(network)[0]
    network[name].weight[:] = np.rint(network[name].weight)
    network.weight_formats[name] = WeightFormat(bits=8, fl=np.zeros(len(network[name].weight), np.int32))
    _, gains = recorded(network, images())
    assert list(gains) == weighted_layers(network)[1:]
