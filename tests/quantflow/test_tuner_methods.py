"""The tuner's named methods as a whole: what they choose, that they repeat, and what they refuse."""

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.accumulation import accumulator_fl
from quantflow.arithmetic import Format, dequantize, largest_fl, quantize
from quantflow.errors import UserError
from quantflow.float_engine import activations
from quantflow.integer_engine import run
from quantflow.tuned_file import load, save
from quantflow.tuner import moments as moments_module
from quantflow.tuner import room as room_module
from quantflow.tuner import rounding
from quantflow.tuner.methods import METHODS, STEPS, UNSIGNED_INPUT, find_method
from quantflow.tuner.search import quantization_error
from quantflow.tuner.tune import tune
from quantflow.tuner.weights import limited_fl
from tests.quantflow.near import WEIGHTS, around
from tests.quantflow.shifts import shifts
from tests.quantflow.test_tuner import images, small_network

FIELDS = ("weight", "weight_fl", "bias")


def same(first, second):
    return first.input == second.input and all(
        entry.output == second.layers[name].output
        and all(np.array_equal(getattr(entry, field), getattr(second.layers[name], field)) for field in FIELDS)
        for name, entry in first.layers.items()
    )


def output_noise(network, quantized, x):
    """sum (y_float - y)^2 at the network's output."""
    last = network.layers[-1].name
    y = dequantize(run(quantized, x)[last], quantized.output_format(last))
    return float(np.sum((y - activations(network, x)[last]) ** 2))


def test_without_steps_the_default_method_is_the_papers():
    network, calibration = small_network(), images()
    paper = tune(network, calibration, weight_bits=4, method="paper")
    assert same(tune(network, calibration, weight_bits=4), tune(network, calibration, weight_bits=4, method="default"))
    assert same(paper, tune(network, calibration, weight_bits=4, method="default", steps=()))
    assert not same(paper, tune(network, calibration, weight_bits=4, method="default"))


@pytest.mark.parametrize("bits", [3, 8])
def test_max_takes_the_largest_fl_that_does_not_overflow(bits):
    network, calibration = small_network(), images()
    tuned = tune(network, calibration, weight_bits=bits, activation_bits=8, method="max")
    exact = activations(network, calibration)
    assert tuned.input.fl == largest_fl(calibration.min(), calibration.max(), 8)
    for name, entry in tuned.layers.items():
        weight, y = network[name].weight, exact[name]
        input_fl = tuned.output_format(network[name].inputs[0]).fl
        assert set(entry.weight_fl) == {largest_fl(weight.min(), weight.max(), bits)}
        assert entry.output.fl == min(largest_fl(y.min(), y.max(), 8), input_fl + entry.weight_fl[0])


@pytest.mark.parametrize(("method", "power"), [("paper", 1), ("mse", 2)])
def test_per_channel_each_channel_has_its_own_best_fl(method, power):
    network, calibration = small_network(), images()
    tuned = tune(network, calibration, weight_bits=4, method=method, per_channel=True)
    for name, entry in tuned.layers.items():
        for channel, fl in zip(network[name].weight, entry.weight_fl, strict=True):
            near = around(channel, 4, WEIGHTS) if method == "paper" else range(-20, 40)
            errors = {f: quantization_error(channel, Format(bits=4, fl=f), power) for f in near}
            assert errors[fl] == min(errors.values())
    assert any(len(set(entry.weight_fl)) > 1 for entry in tuned.layers.values())


def test_mse_minimises_squares_for_the_input_too():
    calibration = np.random.default_rng(5).standard_t(2, (9, 2, 8, 6)).astype(np.float32)
    tuned = tune(small_network(), calibration, activation_bits=4, method="mse")
    errors = {fl: quantization_error(calibration, Format(bits=4, fl=fl), 2) for fl in range(-20, 30)}
    assert errors[tuned.input.fl] == min(errors.values())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_every_method_obeys_the_contract_and_repeats(method, per_channel, monkeypatch, tmp_path):
    network, calibration = small_network(seed=2), images(12)
    options = {"weight_bits": 3, "activation_bits": 7, "method": method, "per_channel": per_channel}
    tuned = tune(network, calibration, **options)
    for name, entry in tuned.layers.items():
        assert entry.weight.min() >= -4 and entry.weight.max() <= 3 and entry.weight.dtype == np.int32
        assert shifts(tuned, name).min() >= 0
        assert per_channel or len(set(entry.weight_fl)) == 1
    save(tuned, tmp_path / "tuned")
    assert same(tuned, load(tmp_path / "tuned")), "the file's own checks accept it"
    monkeypatch.setattr(integer_engine, "BATCH_BYTES", 1)
    monkeypatch.setattr(moments_module, "COLUMN_VALUES", 1)
    monkeypatch.setattr(room_module, "MEMORY_BYTES", 1)
    assert same(tuned, tune(network, calibration, **options)), "whatever the batches"


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_default_method_is_better_at_few_bits(per_channel):
    network, calibration, x = small_network(), images(400), images(200, seed=3)
    noise = {
        method: output_noise(network, tune(network, calibration, weight_bits=3, method=method), x)
        for method in ("paper", "max", "mse")
    }
    tuned = tune(network, calibration, weight_bits=3, method="default", per_channel=per_channel)
    assert output_noise(network, tuned, x) < 0.7 * min(noise.values())


@pytest.mark.parametrize("step", STEPS[2:])
def test_each_step_works_alone(step):
    network, calibration = small_network(), images(50)
    if step == UNSIGNED_INPUT:
        calibration = np.abs(calibration)
    paper = tune(network, calibration, weight_bits=3, method="paper")
    alone = tune(network, calibration, weight_bits=3, method="default", steps=[step])
    assert not same(paper, alone)


def test_layers_with_too_many_inputs_take_no_second_moments(monkeypatch):
    network, calibration = small_network(), images(50)
    monkeypatch.setattr(rounding, "MAX_COLUMNS", 10)
    tuned = tune(network, calibration, weight_bits=4, method="default")
    for name, entry in tuned.layers.items():
        assert np.array_equal(entry.weight, quantize(network[name].weight, Format(bits=4, fl=int(entry.weight_fl[0]))))
    assert any(
        not np.array_equal(entry.bias, np.rint(network[name].bias * 2.0 ** accumulator_fl(tuned, network[name])))
        for name, entry in tuned.layers.items()
    ), "the bias is still corrected"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_dead_channels_and_black_images(method, per_channel):
    network = small_network()
    network["conv1"].weight[1:] = 0
    network["conv2"].weight[0] *= 1e-12
    for calibration in (np.zeros((2, 2, 8, 6), np.float32), images(5)):
        tuned = tune(network, calibration, method=method, per_channel=per_channel)
        for name in tuned.layers:
            assert 0 <= shifts(tuned, name).min() and shifts(tuned, name).max() < 48


def test_limited_fl_by_hand():
    weight, bias = np.array([[0.0], [1.0], [1.0], [1.0]]), np.array([0.0, 0.0, 0.0, 2.0**13 - 1])
    # A dead channel takes the layer's 4; 8 above it is the most; 2**13 at fl 2 + 8 just takes 24 bits.
    assert limited_fl(np.array([30, 9, 30, 30]), 4, weight, bias, 2).tolist() == [4, 9, 12, 8]


def test_refuses_methods_and_steps_that_do_not_exist():
    with pytest.raises(UserError, match="^the tuner's methods are paper, max, mse, default, not best$"):
        tune(small_network(), images(1), method="best")
    with pytest.raises(UserError, match="^the steps of the method default are range-filling, .*, joint, not magic$"):
        find_method("default", ["magic"])
    with pytest.raises(
        UserError, match="^the steps of the method paper are unsigned-input, unsigned-maps, not compensation$"
    ):
        find_method("paper", ["compensation"])
