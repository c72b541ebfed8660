"""The tuner's choices against exhaustive search, and its integers against the integer engine."""

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.accumulation import accumulate
from quantflow.arithmetic import Format, dequantize, largest_fl, quantize, round_half_even_shift, saturate
from quantflow.errors import UserError
from quantflow.float_engine import activations
from quantflow.graph import Convolution, Dense, MaxPool, Network, Window
from quantflow.integer_engine import run, run_integers
from quantflow.tuner import room as room_module
from quantflow.tuner import search as search_module
from quantflow.tuner.methods import RANGE_FILLING, STEPS
from quantflow.tuner.objectives import SQUARED
from quantflow.tuner.search import error_bound, quantization_error, search
from quantflow.tuner.tune import tune
from quantflow.tuner.weights import least_error_fl, quantize_weights
from tests.quantflow.near import MAPS, WEIGHTS, around
from tests.quantflow.shifts import shifts

UNSCALED = [step for step in STEPS if step != RANGE_FILLING]


def small_network(seed=0, scale=1.0, bias_scale=0.1):
    random = np.random.default_rng(seed)

    def numbers(*shape):
        fan_in = max(1, int(np.prod(shape[1:])))
        weight = random.standard_t(4, shape) * scale / np.sqrt(fan_in)
        return {"weight": weight.astype(np.float32), "bias": (random.normal(size=shape[0]) * bias_scale).astype("f4")}

    first = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    pooling = Window(kernel=(2, 2), stride=(2, 2))
    layers = (
        Convolution(
            name="conv1", inputs=("image",), input_shape=(2, 8, 6), output_shape=(4, 8, 6), window=first, relu=True,
            **numbers(4, 2, 3, 3),
        ),
        MaxPool(name="pool1", inputs=("conv1",), input_shape=(4, 8, 6), output_shape=(4, 4, 3), window=pooling),
        Convolution(
            name="conv2", inputs=("pool1",), input_shape=(4, 4, 3), output_shape=(5, 3, 2), relu=False,
            window=Window(kernel=(2, 2)), **numbers(5, 4, 2, 2),
        ),
        Dense(
            name="fc", inputs=("conv2",), input_shape=(5, 3, 2), output_shape=(3, 1, 1), relu=False, **numbers(3, 30)
        ),
    )  # fmt: skip
    return Network(name="small", input_name="image", input_shape=(2, 8, 6), layers=layers)


def images(count=9, seed=1, scale=1.0):
    return (np.random.default_rng(seed).normal(size=(count, 2, 8, 6)) * scale).astype(np.float32)


# The search


def test_search_stops_at_its_bounds_and_keeps_the_nearer_of_equals():
    flat = {"score": lambda fl: 1.0, "bound": lambda fl: 0.0}
    assert search(3, **flat, lowest=0, highest=9) == 3
    assert search(3, score=lambda fl: -fl, bound=lambda fl: -100, lowest=0, highest=9) == 9
    assert search(3, score=lambda fl: fl, bound=lambda fl: -100, lowest=0, highest=9) == 0


def test_search_passes_a_hump_that_its_bound_allows():
    scores = {0: 5.0, 1: 6.0, 2: 3.0, 3: 9.0}
    assert search(0, score=scores.__getitem__, bound=lambda fl: 0.0, lowest=0, highest=3) == 2


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("tail", [1, 2, 30])
def test_weights_take_the_best_fractional_length(bits, tail):
    """By the squared error of all, by the absolute one of the neighbourhood of the largest without overflow."""
    values = np.random.default_rng(bits * tail).standard_t(tail, 500).astype(np.float32) * 0.07
    errors = {fl: quantization_error(values, Format(bits=bits, fl=fl), 2) for fl in range(-25, 30)}
    assert errors[least_error_fl(values, bits, SQUARED)] == min(errors.values())
    errors = {fl: quantization_error(values, Format(bits=bits, fl=fl)) for fl in around(values, bits, WEIGHTS)}
    assert errors[least_error_fl(values, bits)] == min(errors.values())


def test_heavy_tails_saturate_rather_than_lose_the_rest():
    # 1000 values of 1/4 and one of 1: at fl = 1 (2 bits: -2..1) every 1/4 is lost, at 2 only the 1 is.
    values = np.array([0.25] * 1000 + [1.0])
    assert least_error_fl(values, 2) == 2


def test_absolute_errors_are_looked_at_near_the_widest_range_only():
    """Of 1000 values of 1/64, and some of 1, all but the few would be kept at fl 6, far from 0."""
    values = np.array([1 / 64] * 1000 + [1.0] * 3)
    assert least_error_fl(values, 2, SQUARED) == 0
    assert [least_error_fl(values, 2, above=above) for above in (2, 5, 6)] == [0, 0, 6]


def test_error_bound_never_exceeds_what_a_format_reaches_and_never_falls():
    values = np.random.default_rng(3).standard_t(2, 400)
    start = largest_fl(values.min(), values.max(), 5)
    bounds = {fl: error_bound(values, Format(bits=5, fl=fl), start) for fl in range(start - 8, start + 9)}
    errors = {fl: quantization_error(values, Format(bits=5, fl=fl)) for fl in bounds}
    assert all(bounds[fl] <= errors[fl] for fl in bounds)
    assert all(bounds[start - k - 1] >= bounds[start - k] for k in range(1, 8))
    assert all(bounds[start + k + 1] >= bounds[start + k] for k in range(1, 8))


def test_errors_are_summed_in_chunks(monkeypatch):
    values = np.random.default_rng(4).normal(size=(10, 7)).astype(np.float32)
    whole = quantization_error(values, Format(bits=4, fl=2))
    monkeypatch.setattr(search_module, "CHUNK_VALUES", 8)
    assert quantization_error(values, Format(bits=4, fl=2)) == pytest.approx(whole, rel=1e-12)


def test_each_channel_is_rounded_at_its_own_fractional_length():
    weight = np.array([[0.3, -0.3], [0.3, -0.3]])
    assert quantize_weights(weight, 8, np.array([4, 0])).tolist() == [[5, -5], [0, 0]]


# The whole tuner


@pytest.mark.parametrize(("activation_bits", "weight_bits"), [(8, 8), (2, 2), (4, 16), (16, 4), (16, 16)])
def test_every_choice_is_the_best_there_is(activation_bits, weight_bits):
    network, calibration = small_network(), images()
    tuned = tune(network, calibration, activation_bits=activation_bits, weight_bits=weight_bits, method="paper")
    exact, fixed = activations(network, calibration), run(tuned, calibration)
    near = around(calibration, activation_bits, MAPS)
    errors = {fl: quantization_error(calibration, Format(bits=activation_bits, fl=fl)) for fl in near}
    assert errors[tuned.input.fl] == min(errors.values())
    for name, entry in tuned.layers.items():
        layer = network[name]
        near = around(layer.weight, weight_bits, WEIGHTS)
        errors = {fl: quantization_error(layer.weight, Format(bits=weight_bits, fl=fl)) for fl in near}
        assert errors[entry.weight_fl[0]] == min(errors.values())
        input_format = tuned.output_format(layer.inputs[0])
        acc = accumulate(tuned, layer, fixed[layer.inputs[0]])
        accumulator_fl = input_format.fl + int(entry.weight_fl[0])
        errors = {}
        for fl in around(exact[name], activation_bits, MAPS, highest=accumulator_fl):
            shift = accumulator_fl - fl
            y = round_half_even_shift(acc, shift)
            y = saturate(np.maximum(y, 0) if layer.relu else y, activation_bits)
            y = dequantize(y, Format(bits=activation_bits, fl=fl))
            errors[fl] = float(np.abs(exact[name] - y).sum())
        assert errors[entry.output.fl] == pytest.approx(min(errors.values()), rel=1e-9)


def test_the_tuned_network_obeys_the_contract():
    network, calibration = small_network(seed=2), images()
    tuned = tune(network, calibration, activation_bits=7, weight_bits=5, method="paper")
    assert list(tuned.layers) == ["conv1", "conv2", "fc"]
    for name, entry in tuned.layers.items():
        layer, input_format = network[name], tuned.output_format(network[name].inputs[0])
        assert (entry.weight_bits, entry.output.bits) == (5, 7)
        assert np.array_equal(entry.weight, quantize(layer.weight, Format(bits=5, fl=int(entry.weight_fl[0]))))
        assert shifts(tuned, name).min() >= 0
        assert np.array_equal(entry.bias, np.rint(layer.bias * 2.0 ** (input_format.fl + entry.weight_fl)))
        assert entry.weight_fl.shape == entry.bias.shape == layer.bias.shape
    assert tuned.output_format("pool1") == tuned.layers["conv1"].output


def test_more_bits_come_closer():
    network, calibration = small_network(), images(20)
    errors = []
    for bits in (3, 6, 10, 16):
        tuned = tune(network, calibration, activation_bits=bits, weight_bits=bits, method="paper")
        y = dequantize(run(tuned, calibration)["fc"], tuned.output_format("fc"))
        errors.append(np.abs(y - activations(network, calibration)["fc"]).sum())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 1000


def test_worked_by_hand():
    # x = 0.5, 0.25 and w = 0.75, -0.5 are exact at 4 bits and fl 3 (q = 4, 2 and 6, -4); fl_acc = 6 and
    # bias 0.125 is 8: acc = 24 - 8 + 8 = 24 = 0.375. At fl 4 that is 6, within 4 bits: exact.
    layer = Dense(
        name="fc", inputs=("x",), input_shape=(2, 1, 1), output_shape=(1, 1, 1),
        weight=np.array([[0.75, -0.5]], np.float32), bias=np.array([0.125], np.float32), relu=True,
    )  # fmt: skip
    network = Network(name="hand", input_name="x", input_shape=(2, 1, 1), layers=(layer,))
    calibration = np.array([0.5, 0.25], np.float32).reshape(1, 2, 1, 1)
    tuned = tune(network, calibration, activation_bits=4, weight_bits=4, method="paper")
    entry = tuned.layers["fc"]
    assert tuned.input == Format(bits=4, fl=3)
    assert (entry.weight.tolist(), entry.weight_fl.tolist(), entry.bias.tolist()) == ([[6, -4]], [3], [8])
    assert (entry.output, shifts(tuned, "fc").tolist()) == (Format(bits=4, fl=4), [2])
    assert run_integers(tuned, np.array([4, 2]).reshape(1, 2, 1, 1))["fc"].item() == 6


def test_is_deterministic_and_does_not_depend_on_batches(monkeypatch):
    network, calibration = small_network(), images(12)
    first = tune(network, calibration)
    monkeypatch.setattr(integer_engine, "BATCH_BYTES", 1)
    monkeypatch.setattr(room_module, "MEMORY_BYTES", 1)  # every map in a file
    second = tune(network, calibration)
    assert first.input == second.input
    for name, entry in first.layers.items():
        assert entry.output == second.layers[name].output
        for field in ("weight", "weight_fl", "bias"):
            assert np.array_equal(getattr(entry, field), getattr(second.layers[name], field))


def test_a_dead_layer_and_black_images_are_tuned():
    network = small_network()
    network["conv1"].weight[:] = 0
    network["conv1"].bias[:] = -1
    tuned = tune(network, np.zeros((2, 2, 8, 6), np.float32))
    assert not run(tuned, images(2))["conv1"].any()
    assert all(0 <= shift < 48 for name in tuned.layers for shift in shifts(tuned, name))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_numbers_of_any_magnitude(scale):
    network, calibration = small_network(scale=scale, bias_scale=0), images(scale=scale)
    tuned = tune(network, calibration)
    y = dequantize(run(tuned, calibration)["fc"], tuned.output_format("fc"))
    exact = activations(network, calibration)["fc"]
    assert np.abs(y - exact).sum() < 0.1 * np.abs(exact).sum()


def test_reports_progress_after_each_layer():
    seen = []
    tune(small_network(), images(2), progress=lambda *step: seen.append(step))
    assert seen == [(1, 4, "conv1"), (2, 4, "pool1"), (3, 4, "conv2"), (4, 4, "fc")]


@pytest.mark.parametrize("bits", [1, 17, 8.0])
@pytest.mark.parametrize("what", ["activation", "weight"])
def test_refuses_bit_widths_that_do_not_exist(bits, what):
    with pytest.raises(UserError, match=f"^{what} bits are a whole number from 2 to 16, not {bits}$"):
        tune(small_network(), images(1), **{f"{what}_bits": bits})


def test_refuses_unusable_calibration_images():
    with pytest.raises(UserError, match="^the calibration set holds no images$"):
        tune(small_network(), images(0))
    with pytest.raises(UserError, match=r"^the calibration set has shape \[1, 2, 6, 8\], where \[N, 2, 8, 6\] is"):
        tune(small_network(), images(1).swapaxes(2, 3))


@pytest.mark.parametrize("bias", [1e9, 1e30])
def test_refuses_accumulators_that_are_too_wide(bias):
    network = small_network(scale=1e-3)
    network["conv1"].bias[0] = bias
    tuned = tune(small_network(scale=1e-3), images(), steps=UNSCALED)
    tuned_fl, input_fl = tuned.layers["conv1"].weight_fl[0], tuned.input.fl
    needed = int(bias * 2 ** int(tuned_fl + input_fl)).bit_length() + 1
    with pytest.raises(UserError, match=f"^layer conv1 needs an accumulator of {needed} bits where at most 48 exist"):
        tune(network, images(), steps=UNSCALED)


def test_refuses_a_network_whose_values_overflow():
    network = small_network()
    network["conv2"].weight[:] = 3e38
    with pytest.raises(UserError, match="^layer conv2 gives infinite or undefined values"), np.errstate(all="ignore"):
        tune(network, images(scale=1e3))
