"""The tuner on networks with branches: every choice against exhaustive search, on naive sums."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.arithmetic import Format, dequantize
from quantflow.errors import UserError
from quantflow.float_engine import activations, apply
from quantflow.graph import Activation, AveragePool, Convolution, Dense, Network, Window
from quantflow.integer_engine import run
from quantflow.quantized import MOVING
from quantflow.tuner import moments as moments_module
from quantflow.tuner import room as room_module
from quantflow.tuner import tune as tune_module
from quantflow.tuner.methods import METHODS, SIGNS, STEPS, UNSIGNED_INPUT, UNSIGNED_MAPS
from quantflow.tuner.tune import tune
from tests.quantflow.float_graphs import every_kind, images
from tests.quantflow.naive import exact_value, naive_slope_fl
from tests.quantflow.near import MAPS, around

POWER = {"paper": 1, "mse": 2}


def exact_sums(tuned, layer, fixed):
    """What the layer makes of its fixed-point inputs before it rounds: float64 [N, C, H, W], exactly."""
    sums = np.empty((len(fixed["x"]), *layer.output_shape))
    for n in range(len(sums)):
        value = exact_value(tuned, layer, *(fixed[name][n].tolist() for name in layer.inputs))
        for place in np.ndindex(*layer.output_shape):
            sums[(n, *place)] = float(value(*place))
    return sums


def sums_fl(tuned, layer):
    """The fractional lengths of the layer's sums."""
    formats = [tuned.output_format(name) for name in layer.inputs]
    if isinstance(layer, Convolution | Dense):
        residual_fl = formats[1].fl if len(formats) > 1 else -99
        return np.maximum(formats[0].fl + tuned.layers[layer.name].weight_fl, residual_fl)
    if isinstance(layer, AveragePool):
        return np.array([formats[0].fl + int(np.log2(np.prod(layer.window.kernel)))])
    if isinstance(layer, Activation):
        return np.array([formats[0].fl + naive_slope_fl(layer)])
    return np.array([max(format.fl for format in formats)])


def rounded(layer, sums, format):
    """The values that the layer gives in another format."""

    def integers(values):
        return np.clip(np.rint(values * 2.0**format.fl), format.min, format.max)

    q = integers(sums)
    if getattr(layer, "relu", False):
        q = np.maximum(q, 0)
    if getattr(layer, "maximum", None) is not None:
        q = np.minimum(q, integers(layer.maximum))
    return q * 2.0**-format.fl


@pytest.mark.parametrize("method", ["paper", "mse"])
@pytest.mark.parametrize("steps", [(), SIGNS])
@pytest.mark.parametrize(("activation_bits", "weight_bits"), [(8, 8), (3, 3), (5, 16), (16, 2)])
def test_every_map_has_the_best_fl(method, steps, activation_bits, weight_bits):
    network, calibration = every_kind(), images()
    widths = {"activation_bits": activation_bits, "weight_bits": weight_bits}
    tuned = tune(network, calibration, method=method, steps=steps, **widths)
    exact, fixed = activations(network, calibration), run(tuned, calibration)
    for layer in network.layers:
        if isinstance(layer, MOVING):
            assert tuned.output_format(layer.name) == tuned.output_format(layer.inputs[0])
            continue
        sums, chosen = exact_sums(tuned, layer, fixed), tuned.output_format(layer.name)
        errors, highest = {}, int(sums_fl(tuned, layer).max())
        near = around(exact[layer.name], activation_bits, MAPS, signed=chosen.signed, highest=highest)
        for fl in near if method == "paper" else range(-12, highest + 1):
            y = rounded(layer, sums, Format(bits=activation_bits, fl=fl, signed=chosen.signed))
            errors[fl] = float((np.abs(exact[layer.name] - y) ** POWER[method]).sum())
        assert chosen.fl in errors, layer.name
        assert errors[chosen.fl] == pytest.approx(min(errors.values()), rel=1e-9), layer.name
        y = dequantize(fixed[layer.name], chosen)
        np.testing.assert_array_equal(y, rounded(layer, sums, chosen), err_msg=layer.name)


def one_residual(scale):
    """y = W * x + r of two inputs, r being `scale` times as large: r = scale * relu(x), W a 1x1 convolution."""
    shapes = {"input_shape": (4, 6, 6), "output_shape": (4, 6, 6), "window": Window(kernel=(1, 1))}
    weight = np.random.default_rng(5).normal(size=(4, 4, 1, 1)).astype("f4")
    small = scale * np.eye(4, dtype="f4").reshape(4, 4, 1, 1)
    zero = {"bias": np.zeros(4, "f4")}
    layers = (
        Convolution(name="r", inputs=("x",), weight=small, relu=True, **zero, **shapes),
        Convolution(name="y", inputs=("x", "r"), weight=weight, **zero, **shapes),
    )
    return Network(name="residual", input_name="x", input_shape=(4, 6, 6), layers=layers)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scale", [1 / 8, 1e-3, 0.0])
def test_a_small_residual_costs_nothing(method, bits, scale):
    """However much finer than the products it is, weights keep the fl that suits them."""
    calibration = np.random.default_rng(6).normal(size=(20, 4, 6, 6)).astype(np.float32)
    network, errors = one_residual(scale), []
    without = replace(network, layers=(replace(network.layers[1], inputs=("x",)),))
    for each in (network, without):
        tuned = tune(each, calibration, weight_bits=bits, method=method)
        y = dequantize(run(tuned, calibration)["y"], tuned.output_format("y"))
        errors.append(((y - activations(each, calibration)["y"]) ** 2).sum())
    assert errors[0] < 1.1 * errors[1]


@pytest.mark.parametrize("method", METHODS)
def test_only_maps_without_negative_values_are_unsigned(method):
    network, calibration = every_kind(), images()
    exact = activations(network, calibration)
    steps = STEPS if method == "default" else SIGNS
    tuned = tune(network, calibration, method=method, steps=steps)
    signed = {name: tuned.output_format(name).signed for name in exact}
    for layer in network.layers:
        expected = signed[layer.inputs[0]] if isinstance(layer, MOVING) else exact[layer.name].min() < 0
        assert signed[layer.name] == expected, layer.name
    assert signed["x"] and 4 < sum(signed.values()) < len(signed) - 4
    plain = tune(network, calibration, method=method, steps=[step for step in steps if step not in SIGNS])
    assert all(plain.output_format(name).signed for name in exact)


def test_an_input_without_negative_values_is_unsigned():
    network, calibration = every_kind(), np.abs(images())
    unsigned, signed = Format(bits=8, fl=6, signed=False), Format(bits=8, fl=5)
    tuned = tune(network, calibration, steps=[step for step in STEPS if step != UNSIGNED_MAPS])
    assert tuned.input == unsigned
    assert all(tuned.output_format(layer.name).signed for layer in network.layers if not isinstance(layer, MOVING))
    assert tune(network, calibration, steps=[step for step in STEPS if step != UNSIGNED_INPUT]).input == signed
    assert tune(network, calibration, method="mse").input == signed
    assert tune(network, calibration, method="mse", steps=[UNSIGNED_INPUT]).input == unsigned
    assert tune(network, images()).input.signed


def test_no_sign_bit_means_less_error():
    network, calibration = every_kind(), images()
    exact = activations(network, calibration)["convolution0"]
    errors = []
    for steps in ((), SIGNS):
        bits = dict.fromkeys(chosen_maps(network), 6) | {"x": 16}
        tuned = tune(network, calibration, weight_bits=16, activation_bits=bits, method="paper", steps=steps)
        y = dequantize(run(tuned, calibration)["convolution0"], tuned.output_format("convolution0"))
        errors.append(np.abs(y - exact).sum())
    assert errors[1] < 0.6 * errors[0]


def test_more_bits_come_closer():
    network, calibration = every_kind(), images(20)
    errors, last = [], network.layers[-1].name
    exact = activations(network, calibration)[last]
    for bits in (3, 6, 10, 16):
        tuned = tune(network, calibration, activation_bits=bits, weight_bits=bits, method="paper")
        errors.append(np.abs(dequantize(run(tuned, calibration)[last], tuned.output_format(last)) - exact).sum())
    assert errors == sorted(errors, reverse=True)
    # The slopes of an Activation keep 8 bits, so the error does not vanish.
    assert errors[-1] < errors[0] / 30


@pytest.mark.parametrize("method", ["paper", "default"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_batches_do_not_change_the_choices(method, per_channel, monkeypatch):
    network, calibration = every_kind(), images(12)
    options = {"method": method, "per_channel": per_channel, "weight_bits": 4}
    first = tune(network, calibration, **options)
    monkeypatch.setattr(integer_engine, "BATCH_BYTES", 1)
    monkeypatch.setattr(moments_module, "COLUMN_VALUES", 1)
    monkeypatch.setattr(room_module, "MEMORY_BYTES", 1)
    second = tune(network, calibration, **options)
    assert (first.input, first.formats) == (second.input, second.formats)
    for name, entry in first.layers.items():
        for field in ("weight", "weight_fl", "bias"):
            assert np.array_equal(getattr(entry, field), getattr(second.layers[name], field)), (name, field)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
@pytest.mark.parametrize("bits", [2, 8, 16])
@pytest.mark.parametrize("per_channel", [False, True])
def test_maps_that_hardly_vary_or_are_huge(scale, bits, per_channel):
    """Beside biases of 0.1, images of 1e-4 leave maps that are nearly constant."""
    network, calibration = every_kind(), images() * np.float32(scale)
    tuned = tune(network, calibration, weight_bits=bits, activation_bits=bits, per_channel=per_channel)
    last = network.layers[-1].name
    exact = activations(network, calibration)[last]
    error = dequantize(run(tuned, calibration)[last], tuned.output_format(last)) - exact
    assert np.abs(error).mean() < {2: 2, 8: 0.1, 16: 0.02}[bits] * np.abs(exact).mean()


def test_maps_are_forgotten_after_their_last_reader(monkeypatch):
    network, seen, alive = every_kind(), [], {}
    last_reader = {name: layer.name for layer in network.layers for name in layer.inputs}
    tune_layer = tune_module.tune_layer

    def watched(tuned, layer, *arguments):
        position = network.layers.index(layer)
        remaining = {each.name for each in network.layers[position:]}
        needed = {each.name for each in network.layers[:position] if last_reader[each.name] in remaining}
        seen.append({name for name, maps in alive.items() if maps() is not None} == needed)
        result = tune_layer(tuned, layer, *arguments)
        alive[layer.name] = weakref.ref(result[1])
        return result

    monkeypatch.setattr(tune_module, "tune_layer", watched)
    tune(network, images(), steps=STEPS[2:])
    assert len(seen) == len(network.layers) and all(seen)


def test_a_free_bias_leaves_the_weights_what_varies_only(monkeypatch):
    """With bias correction the mean input costs nothing, so that the weights need not care for it."""
    network, calibration = every_kind(), images(40) + 20
    exact, errors = activations(network, calibration)["convolution0"], []
    for _ in range(2):
        tuned = tune(network, calibration, weight_bits=3, activation_bits=16)
        y = dequantize(run(tuned, calibration)["convolution0"], tuned.output_format("convolution0"))
        errors.append(((y - exact) ** 2).mean())
        monkeypatch.setattr(moments_module.Moments, "about_mean", lambda moments: moments)
    assert errors[0] < 0.8 * errors[1]


def test_bias_correction_leaves_no_mean_error_before_the_activation():
    network, calibration = every_kind(), images(30)
    means = {}
    for steps in (["bias-correction"], ["squared-error"]):
        tuned = tune(network, calibration, weight_bits=3, steps=steps)
        fixed, exact = run(tuned, calibration), activations(network, calibration)
        for layer in network.layers:
            if layer.name in tuned.layers:
                error = exact_sums(tuned, layer, fixed) - linear_output(layer, [exact[name] for name in layer.inputs])
                units = 2.0 ** -sums_fl(tuned, layer).astype(float)
                means[layer.name, steps[0]] = np.abs(error.mean(axis=(0, 2, 3)) / units).max()
    # What remains is the rounding of the bias itself, and of the float engine.
    assert max(mean for (_, step), mean in means.items() if step == "bias-correction") < 0.51
    assert all(mean > 1 for (_, step), mean in means.items() if step == "squared-error")


def linear_output(layer, maps):
    """The float output before the activation."""
    return apply(replace(layer, relu=False, maximum=None), *maps)


# Bit widths


def weighted_layers(network):
    return [layer.name for layer in network.layers if isinstance(layer, Convolution | Dense)]


def chosen_maps(network):
    return ["x", *(layer.name for layer in network.layers if not isinstance(layer, MOVING))]


def test_widths_by_name():
    network, calibration = every_kind(), images()
    weighted = {name: 2 + 2 * n for n, name in enumerate(weighted_layers(network))}
    maps = {name: 16 - n for n, name in enumerate(chosen_maps(network))}
    tuned = tune(network, calibration, weight_bits=weighted, activation_bits=maps, method="paper")
    assert {name: entry.weight_bits for name, entry in tuned.layers.items()} == weighted
    assert {name: tuned.output_format(name).bits for name in maps} == maps
    for name, entry in tuned.layers.items():
        assert np.abs(entry.weight).max() <= 1 << (weighted[name] - 1)


WIDTHS = [
    ({"weight_bits": {"convolution0": 8}}, "^weight bits are not given for convolution1$"),
    ({"weight_bits": {"add6": 8}}, "^weight bits are given for 'add6', where the network has convolution0, .*dense15$"),
    ({"activation_bits": {"convolution0": 8}}, "^activation bits are not given for x$"),
    ({"activation_bits": {"maxpool10": 8}}, "^activation bits are given for 'maxpool10', where the network has x, co"),
    ({"activation_bits": 1}, "^activation bits are a whole number from 2 to 16, not 1$"),
    ({"weight_bits": 17}, "^weight bits are a whole number from 2 to 16, not 17$"),
    ({"weight_bits": None}, "^weight bits are a whole number from 2 to 16, not None$"),
    ({"weight_bits": "8"}, "^weight bits are a whole number from 2 to 16, not 8$"),
]


@pytest.mark.parametrize(("widths", "sentence"), WIDTHS)
def test_refuses_widths_that_fit_no_layer(widths, sentence):
    with pytest.raises(UserError, match=sentence):
        tune(every_kind(), images(1), **widths)


@pytest.mark.parametrize("bits", [8.5, 1, 17])
def test_refuses_a_width_by_name_that_does_not_exist(bits):
    network = every_kind()
    widths = dict.fromkeys(weighted_layers(network), 8) | {"dense15": bits}
    with pytest.raises(UserError, match=f"^weight bits are a whole number from 2 to 16, not {bits} for dense15$"):
        tune(network, images(1), weight_bits=widths)


@pytest.mark.parametrize("relu", [False, True])
def test_only_what_is_never_negative_loses_its_sign(relu):
    """A convolution without ReLU may give negative values on other images than those that calibrate it."""
    shapes = {"input_shape": (2, 4, 4), "output_shape": (2, 4, 4)}
    weight = np.float32([[1, 2], [3, 0.5]]).reshape(2, 2, 1, 1)
    plain = {"window": Window(kernel=(1, 1)), "bias": np.zeros(2, "f4")}
    convolution = Convolution(name="y", inputs=("x",), weight=weight, relu=relu, **plain, **shapes)
    mean = AveragePool(name="mean", inputs=("y",), window=Window(kernel=(2, 2)), **shapes | {"output_shape": (2, 3, 3)})
    network = Network(name="positive", input_name="x", input_shape=(2, 4, 4), layers=(convolution, mean))
    positive = np.random.default_rng(3).uniform(size=(4, 2, 4, 4)).astype("f4")
    tuned = tune(network, positive)
    assert not tuned.input.signed
    assert [tuned.output_format(name).signed for name in ("y", "mean")] == [not relu, not relu]
