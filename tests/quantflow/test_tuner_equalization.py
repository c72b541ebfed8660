"""Channels scaled by powers of two: the same function, balanced weights, and only where it pays."""

from functools import partial

import numpy as np
import pytest

from quantflow.arithmetic import Format
from quantflow.float_engine import activations, run
from quantflow.graph import Activation, AveragePool, MaxPool, Pad, Slice, WeightFormat
from quantflow.tuned_file import load, save
from quantflow.tuner import tune as tune_module
from quantflow.tuner.channels import channel_classes
from quantflow.tuner.equalization import (
    IMAGES,
    REACH,
    balancing_exponents,
    equalize,
    may_equalize,
)
from quantflow.tuner.joint import output_error
from quantflow.tuner.methods import STEPS as ALL
from quantflow.tuner.scaling import channel_peaks
from tests.quantflow.float_graphs import FloatGraph, every_kind, images
from tests.quantflow.test_exporter import assert_same_integers
from tests.quantflow.tuned_folders import assert_equal

STEPS = ALL[1:]  # all but range-filling, which scales channels too
WITHOUT = STEPS[1:]  # all but equalization
tune = partial(tune_module.tune, steps=STEPS)
AROUND = {"padding": (1, 1, 1, 1)}


def free_kinds(seed=0):
    """A network whose channels can all be scaled, but for those of input and output."""
    graph = FloatGraph(seed)
    first = graph.convolution("x", channels=4, relu=True, maximum=np.float32([6, 1, 2, 0.5]), **AROUND)
    residual = graph.convolution(first, first, channels=4, relu=True, maximum=3.0, **AROUND)
    depthwise = graph.convolution(residual, channels=8, groups=4, **AROUND)
    slope = np.float32([0, 0.1, 0.25, 0.3, 1, 0.01, -0.2, 0.5])
    both = graph.concat(graph.same(Activation, depthwise, slope=slope, maximum=2.0), first)
    padded = graph.append(Pad, (both,), (15, 7, 6), before=(1, 1, 0), after=(2, 0, 0))
    taken = graph.append(Slice, (padded,), (7, 6, 6), start=(1, 1, 0), step=(2, 1, 1))
    mean = graph.pool(AveragePool, taken, (2, 2), relu=True, stride=(1, 1))
    largest = graph.pool(MaxPool, mean, (3, 3), stride=(2, 2))
    middle = graph.dense(largest, 6, relu=True, maximum=1.0)
    graph.dense(middle, 3)
    return graph.network()


def any_exponents(network, seed):
    """Random exponents, the same within a class and 0 where channels must not be scaled."""
    classes, fixed = channel_classes(network)
    drawn = np.random.default_rng(seed).integers(-REACH, REACH + 1, len(fixed))
    drawn[fixed] = 0
    return {name: drawn[numbers] for name, numbers in classes.items()}


def balanced(network, calibration):
    exponents = balancing_exponents(network, channel_peaks(network, calibration))
    return equalize(network, exponents), exponents


def assert_same_function(network, scaled, exponents, x):
    """Every map is that of the network with its channels times 2**e, to the last bit."""
    maps, others = activations(network, x), activations(scaled, x)
    for name, y in maps.items():
        np.testing.assert_array_equal(others[name], np.ldexp(y, exponents[name][:, None, None]), err_msg=name)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kinds", [every_kind, free_kinds])
def test_the_function_stays_exactly_the_same(kinds, seed):
    network, x = kinds(seed), images(4, seed)
    before = activations(network, x)
    exponents = any_exponents(network, seed)
    assert_same_function(network, equalize(network, exponents), exponents, x)
    assert_same_function(network, *balanced(network, x), x)
    after = activations(network, x)
    assert all(np.array_equal(before[name], after[name]) for name in before), "the network itself is not touched"


@pytest.mark.parametrize("kinds", [every_kind, free_kinds])
def test_exponents_are_zero_at_input_and_output_and_alike_where_channels_meet(kinds):
    network = equalize(kinds(3), any_exponents(kinds(3), 3))
    _, exponents = balanced(network, images(4))
    assert not exponents[network.input_name].any() and not exponents[network.layers[-1].name].any()
    assert sum(np.any(each) for each in exponents.values()) > 3
    classes, fixed = channel_classes(network)
    for number in range(len(fixed)):
        met = {int(e) for name, each in exponents.items() for e in each[classes[name] == number]}
        assert len(met) == 1 and (met == {0} or not fixed[number])


def chain(made, read, maximum=None, seed=0):
    """Two 1x1 convolutions: the greatest weights that make and read channel c are `made[c]` and `read[c]`.

    Weights and biases are positive, so that no channel is silent on positive images.
    """
    graph = FloatGraph(seed, (2, 5, 5))
    count = len(made)
    name = graph.convolution("x", channels=count, kernel=(1, 1), relu=True, maximum=maximum)
    graph.convolution(name, channels=3, kernel=(1, 1))
    network = graph.network()
    for layer, sizes, axis in zip(network.layers, (made, read), (0, 1), strict=True):
        shares = graph.random.uniform(0.1, 1, layer.weight.shape)
        shares /= shares.max(axis=1 - axis, keepdims=True)
        layer.weight[:] = shares * np.expand_dims(sizes, (1 - axis, 2, 3))
        layer.bias[:] = np.abs(layer.bias)
    return network


def positive_images(count=4):
    return np.random.default_rng(4).uniform(size=(count, 2, 5, 5)).astype(np.float32)


def test_exponents_by_hand():
    """log2 of made and read, relative to the layers' greatest: [0 -2 -4 0] and [-4 0 0 0]."""
    _, exponents = balanced(chain([1, 1 / 4, 1 / 16, 1], [1 / 8, 2, 2, 2]), positive_images())
    assert exponents["convolution0"].tolist() == [-2, 1, 2, 0]


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_balanced_to_half_a_bit(seed):
    random = np.random.default_rng(seed)
    sizes = np.exp2(random.uniform(-6, 6, (2, 20)))
    network = chain(*sizes, seed=seed)
    scaled, exponents = balanced(network, positive_images())
    made = np.log2(np.abs(scaled.layers[0].weight).max(axis=(1, 2, 3)))
    read = np.log2(np.abs(scaled.layers[1].weight).max(axis=(0, 2, 3)))
    # What is missing of read / made, relative to the layers' greatest as they were; half of it is the exponent's.
    missing = (read - made - np.log2(sizes[1].max() / sizes[0].max())) / 2
    limited = np.abs(exponents["convolution0"]) == REACH
    assert 0 < limited.sum() < 20
    assert (np.abs(missing[~limited]) < 0.5 + 1e-4).all()
    sign = np.sign(exponents["convolution0"][limited])
    assert (missing[limited] * sign > -0.5 - 1e-4).all() and (missing[limited] * sign).max() > 0.5


def imbalance(network):
    """|log2(read / made)| of every channel between two layers of a chain, relative to the layers' greatest weights."""
    found = []
    for first, second in zip(network.layers, network.layers[1:], strict=False):
        made = [np.abs(rows).max() for rows in first.weight]
        read = np.zeros(len(made))
        outputs, width = second.weight.shape[:2]
        for o in range(outputs):
            for i in range(width):
                channel = o // (outputs // second.groups) * width + i
                read[channel] = max(read[channel], np.abs(second.weight[o, i]).max())
        ratio = (read / np.abs(second.weight).max()) / (made / np.abs(first.weight).max())
        found += np.abs(np.log2(ratio)).tolist()
    return found


def depthwise(spread=4.0, seed=0, maximum=None):
    """1x1, depthwise, 1x1: filters from 1 down to 2**-spread in size, and the last layer makes up for that.

    With a spread of 0 the greatest weight that makes, and that reads, any channel is 1.
    """
    graph = FloatGraph(seed)
    name = graph.convolution("x", channels=12, kernel=(1, 1), relu=True, maximum=maximum)
    name = graph.convolution(name, channels=12, groups=12, relu=True, maximum=maximum, **AROUND)
    graph.convolution(name, channels=4, kernel=(1, 1))
    network = graph.network()
    for layer, others in zip(network.layers, ((1, 2, 3), (1, 2, 3), (0, 2, 3)), strict=True):
        layer.weight[:] /= np.abs(layer.weight).max(axis=others, keepdims=True)
    size = np.exp2(-np.linspace(0, spread, 12)).astype("f4")
    network.layers[1].weight[:] *= size[:, None, None, None]
    network.layers[1].bias[:] *= size
    network.layers[2].weight[:] /= size[:, None, None]
    return network


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_of_layers_is_balanced_as_a_whole(seed):
    network = depthwise(seed=seed)
    scaled, _ = balanced(network, images())
    assert np.mean(imbalance(scaled)) < 0.5 * np.mean(imbalance(network))


def test_a_silent_channel_has_no_say():
    network = chain([1, 1, 1, 1], [1, 1 / 16, 1 / 16, 1 / 16])
    _, exponents = balanced(network, positive_images())
    assert exponents["convolution0"].tolist() == [0, -2, -2, -2]
    network.layers[0].bias[0] = -100
    scaled, exponents = balanced(network, positive_images())
    assert not exponents["convolution0"].any(), "with the first channel silent, the others are alike"
    assert_same_function(network, scaled, exponents, positive_images())


@pytest.mark.parametrize("layer", [0, 1])
def test_a_channel_without_weights_is_left(layer):
    network = chain([1, 1 / 4, 1 / 16, 1], [1 / 8, 2, 2, 2])
    network.layers[layer].weight[(slice(None),) * layer + (2,)] = 0
    network.layers[0].bias[2] = 1
    _, exponents = balanced(network, positive_images())
    assert exponents["convolution0"].tolist() == [-2, 1, 0, 0]


def test_a_network_without_any_weight_is_left():
    network = chain([1, 1], [1, 1])
    for layer in network.layers:
        layer.weight[:] = 0
    with np.errstate(divide="raise", invalid="raise"):
        _, exponents = balanced(network, positive_images())
    assert not any(np.any(each) for each in exponents.values())


# Whether it is taken


FEW = {"weight_bits": 4}


def errors(network, calibration, x, **options):
    """(with the step, without it): tuned networks and the errors of their outputs on the images x."""
    tuned = [tune(network, calibration, steps=steps, **options) for steps in (STEPS, WITHOUT)]
    y_float = run(network, x)
    return tuned, [output_error(each, x, y_float) for each in tuned]


def test_filters_of_very_different_size_gain():
    network = depthwise()
    (equalized, _), (error, plain) = errors(network, images(100), images(60, seed=7), **FEW)
    assert equalized.tuning["equalized"] is True
    assert error < 0.7 * plain
    _, exponents = balanced(network, images(100)[: 2 * IMAGES : 2])
    assert_same_function(network, equalized.network, exponents, images(3))


def test_maps_that_would_lose_more_stay():
    """One filter is small, its map large by its bias: in balance, it would take three bits from all other channels."""
    network, calibration, x = depthwise(spread=0.0), images(100), images(60, seed=7)
    network.layers[1].weight[0] /= 2**9
    network.layers[1].bias[0] = 4
    scaled, exponents = balanced(network, calibration[: 2 * IMAGES : 2])
    # Making, filtering and reading are 0, -9 and 0 in log2: -3 each with 3 from the first and 3 from the last.
    assert [exponents[layer.name].tolist() for layer in network.layers[:2]] == [[-3] + 11 * [0], [3] + 11 * [0]]
    options = {"weight_bits": 16, "activation_bits": 6}
    (kept, plain), (error, _) = errors(network, calibration, x, **options)
    assert kept.tuning["equalized"] is False and kept.network is network
    assert_equal(kept, plain)
    other = tune(scaled, calibration, steps=WITHOUT, **options)
    assert error < 0.7 * output_error(other, x, run(network, x))


def test_a_balanced_network_stays():
    network = depthwise(spread=0.0)
    _, exponents = balanced(network, images(10))
    assert not any(np.any(each) for each in exponents.values())
    tuned = tune(network, images(10), **FEW)
    assert tuned.tuning["equalized"] is False and tuned.network is network


def test_one_image_is_enough_to_decide():
    assert tune(depthwise(), images(1), **FEW).tuning["equalized"] in (True, False)


def given_map(network):
    network.formats["x"] = Format(bits=8, fl=5)
    return network


def given_weights(network):
    layer = network.layers[0]
    layer.weight[:] = np.rint(layer.weight)
    network.weight_formats[layer.name] = WeightFormat(bits=8, fl=np.zeros(len(layer.weight), np.int32))
    return network


def grouped():
    graph = FloatGraph(0, (4, 6, 6))
    graph.convolution(graph.convolution("x", channels=4, groups=2), channels=2, kernel=(1, 1))
    return graph.network()


UNTRIED = {
    "per channel": (depthwise, {"per_channel": True}),
    "without depthwise convolutions": (lambda: chain([1, 8], [1, 1]), {}),
    "groups of more than one channel": (grouped, {}),
    "a given map": (lambda: given_map(depthwise()), {}),
    "given weights": (lambda: given_weights(depthwise()), {}),
    "another method": (depthwise, {"method": "mse", "steps": None}),
    "without the step": (depthwise, {"steps": WITHOUT}),
}


@pytest.mark.parametrize(("make", "options"), UNTRIED.values(), ids=UNTRIED)
def test_it_is_not_tried(make, options, monkeypatch):
    network, said = make(), []
    monkeypatch.setattr(tune_module, "better_equalized", None)
    calibration = np.random.default_rng(0).normal(size=(3, *network.input_shape)).astype("f4")
    tuned = tune(network, calibration, progress=lambda *step: said.append(step), **options)
    assert tuned.network is network and "equalized" not in tuned.tuning
    assert all(done > 0 for done, *_ in said)


def test_it_is_tried_on_depthwise_convolutions_with_one_fl_a_layer():
    assert may_equalize(depthwise(), per_channel=False)
    assert may_equalize(every_kind(), per_channel=False), "two filters to one input channel are depthwise too"


# What is made of it


@pytest.fixture(scope="module")
def bounded():
    """An equalized network with ReLU6, whose bounds differ from channel to channel now."""
    tuned = tune(depthwise(maximum=6.0), images(60), **FEW)
    assert tuned.tuning["equalized"]
    return tuned


def test_bounds_follow_their_channels(bounded):
    exponents = balanced(depthwise(maximum=6.0), images(60)[::2])[1]
    for layer in bounded.network.layers[:2]:
        assert np.array_equal(layer.maximum, np.ldexp(np.float32(6), exponents[layer.name]))
    assert len(set(bounded.network.layers[1].maximum.tolist())) > 1


def test_the_tuned_file_holds_it(bounded, tmp_path):
    save(bounded, tmp_path / "tuned")
    loaded = load(tmp_path / "tuned")
    assert_equal(loaded, bounded)
    assert loaded.tuning == bounded.tuning and loaded.tuning["equalized"] is True


def test_the_exported_network_computes_the_same_integers(bounded):
    assert_same_integers(bounded, images(20, seed=5) * 3)


def test_only_the_network_at_last_is_recorded_and_the_trial_is_announced():
    network, said, recorded = depthwise(), [], []
    watched = {"progress": lambda *step: said.append(step), "record": lambda name, _: recorded.append(name)}
    tune(network, images(9), **FEW, **watched)
    assert recorded == [layer.name for layer in network.layers]
    sentence = "tuning on some images with channels as they are, and equalized"
    assert said == [(0, 3, sentence), *((n, 3, layer.name) for n, layer in enumerate(network.layers, 1))]


def test_an_interrupted_tuning_goes_on_equalized(tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(done, *_):
        if done == 2:
            raise Interrupted

    network, calibration = depthwise(), images(30)
    plain = tune(network, calibration, **FEW)
    with pytest.raises(Interrupted):
        tune(network, calibration, checkpoint=tmp_path, progress=interrupt, **FEW)
    said = []
    again = tune(network, calibration, checkpoint=tmp_path, progress=lambda *step: said.append(step), **FEW)
    assert "2 of 3 layers are kept" in said[0][2]
    assert_equal(again, plain)
    assert again.tuning == plain.tuning and plain.tuning["equalized"]
