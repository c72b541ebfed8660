"""Each step of the tuner's default method against naive or exhaustive references on random layers."""

import itertools

import numpy as np
import pytest

from quantflow.arithmetic import Format, dequantize, quantize, saturate
from quantflow.graph import Convolution, Window
from quantflow.tuner import compensation, refinement
from quantflow.tuner.bias_correction import corrected_bias
from quantflow.tuner.compensation import compensate, elimination
from quantflow.tuner.least_squares import refit
from quantflow.tuner.moments import input_moments
from quantflow.tuner.output_error import least_output_error_fl, nearest, output_error, starting_fl
from quantflow.tuner.refinement import refine

FORMAT = Format(bits=8, fl=5)


def random_layer(seed=0, outputs=3, relu=True):
    """A convolution, its float input and its quantized input [N, C, H, W], neighbours being correlated."""
    random = np.random.default_rng(seed)
    layer = Convolution(
        name="conv", inputs=("x",), input_shape=(2, 5, 6), output_shape=(outputs, 3, 3),
        window=Window(kernel=(2, 3), stride=(2, 2), padding=(0, 1, 1, 1)), relu=relu,
        weight=random.normal(size=(outputs, 2, 2, 3)).astype(np.float32),
        bias=random.normal(size=outputs).astype(np.float32),
    )  # fmt: skip
    exact = np.maximum(np.cumsum(random.normal(size=(7, 2, 5, 6)), axis=3), 0).astype(np.float32)
    return layer, exact, quantize(exact + 0.1 * random.normal(size=exact.shape), FORMAT)


def naive_windows(layer, x):
    """Every window as a row [windows, K], by loops."""
    x = np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 1)))
    return np.array(
        [
            image[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 3].reshape(-1)
            for image in x
            for row, column in np.ndindex(layer.output_shape[1:])
        ],
        dtype=np.float64,
    )


def problem(seed, outputs=5, inputs=12, windows=60):
    """Random weights [O, K] and the second moments [K, K] of correlated inputs."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(windows, inputs)) @ random.normal(size=(inputs, inputs)) + 1
    return random.normal(size=(outputs, inputs)), x.T @ x / windows


def test_moments_are_the_means_over_all_windows():
    layer, exact, fixed = random_layer()
    moments = input_moments(layer, exact, fixed, FORMAT, [slice(0, 3), slice(3, 7)])
    x, x_float = naive_windows(layer, dequantize(fixed, FORMAT)), naive_windows(layer, exact)
    weight = layer.weight.reshape(3, -1).astype(np.float64)
    shrinkage = np.diag(x.var(axis=0)) * 12 / (12 + len(x))
    assert np.allclose(moments.mean, x.mean(axis=0)) and np.allclose(moments.mean_float, x_float.mean(axis=0))
    assert np.allclose(moments.second, x.T @ x / len(x) + shrinkage)
    assert np.allclose(moments.cross, weight @ (x_float - x).T @ x / len(x))
    free, centred = moments.about_mean(), x - x.mean(axis=0)
    assert np.allclose(free.second, centred.T @ centred / len(x) + shrinkage)
    assert np.allclose(free.cross, weight @ (x_float - x).T @ centred / len(x))


def test_output_error_is_the_mean_squared_error_of_the_output():
    random = np.random.default_rng(1)
    x, weight = random.normal(size=(50, 6)), random.normal(size=(4, 6))
    fl = np.array([1, 2, 3, 1])
    rounded = nearest(weight, fl, 4)
    error = x @ (rounded / 2.0 ** fl[:, None]).T - x @ weight.T
    assert np.allclose(output_error(weight, rounded, fl, x.T @ x / 50), (error**2).mean(axis=0))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_fl_with_the_least_output_error_of_all(bits, per_channel):
    weight, second = problem(bits)
    errors = {
        fl: output_error(weight, nearest(weight, np.full(5, fl), bits), np.full(5, fl), second) for fl in range(-9, 20)
    }
    chosen = least_output_error_fl(weight, second, bits, per_channel)
    if per_channel:
        assert [errors[fl][o] for o, fl in enumerate(chosen)] == [min(e[o] for e in errors.values()) for o in range(5)]
    else:
        assert len(set(chosen)) == 1 and errors[chosen[0]].sum() == min(e.sum() for e in errors.values())


def naive_brain_surgeon(weight, second, bits):
    """Column by column, the remaining columns being solved for anew each time, from the same damped H."""
    order, _ = elimination(second)
    damped = second + compensation.DAMPING * np.mean(np.diag(second)) * np.eye(len(second))
    rest, rounded = weight.copy(), np.zeros_like(weight)
    for step, column in enumerate(order):
        free = order[step + 1 :]
        rounded[:, column] = saturate(np.rint(rest[:, column]), bits)
        error = rest[:, column] - rounded[:, column]
        # argmin over the change d of the free columns of (e, d)' H (e, d), e = -error
        change = np.linalg.solve(damped[np.ix_(free, free)], np.outer(damped[free, column], error))
        rest[:, free] += change.T
    return rounded


@pytest.mark.parametrize("block", [1, 5, 64])
def test_the_sweep_solves_for_the_remaining_columns(block, monkeypatch):
    monkeypatch.setattr(compensation, "BLOCK", block)
    weight, second = problem(7)
    weight *= 3
    order, factor = elimination(second)
    rounded = np.empty_like(weight)
    rounded[:, order] = compensation._sweep(weight[:, order], factor, 4)
    assert np.array_equal(rounded, naive_brain_surgeon(weight, second, 4))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("per_channel", [False, True])
def test_compensation_and_refinement_reduce_the_output_error(bits, per_channel):
    before = after = refined = 0
    for seed in range(10):
        weight, second = problem(seed)
        fl = starting_fl(weight, bits, per_channel)
        plain = output_error(weight, nearest(weight, fl, bits), fl, second)
        rounded, fl = compensate(weight, fl, second, bits, per_channel)
        assert per_channel or len(set(fl)) == 1
        compensated = output_error(weight, rounded, fl, second)
        assert compensated.sum() <= plain.sum()
        integers = refine(weight, rounded, fl, second, bits)
        assert integers.min() >= -(1 << (bits - 1)) and integers.max() < 1 << (bits - 1)
        least = output_error(weight, integers, fl, second)
        assert (least <= compensated + 1e-12).all()
        before, after, refined = before + plain.sum(), after + compensated.sum(), refined + least.sum()
    assert after < 0.7 * before and refined < after


@pytest.mark.parametrize("block", [1, 3, 64])
def test_refinement_ends_where_no_single_integer_can_be_better(block, monkeypatch):
    monkeypatch.setattr(refinement, "BLOCK", block)
    weight, second = problem(3, outputs=4, inputs=5)
    fl = starting_fl(weight, 2, True)
    integers = refine(weight, nearest(weight, fl, 2), fl, second, 2)
    error = output_error(weight, integers, fl, second)
    for column, value in itertools.product(range(5), range(-2, 2)):
        other = integers.copy()
        other[:, column] = value
        assert (output_error(weight, other, fl, second) >= error - 1e-12).all()


def test_refinement_comes_close_to_the_best_of_all_roundings():
    every = np.array(list(itertools.product(range(-2, 2), repeat=5)), dtype=np.float64)
    found = least = plain = 0
    for seed in range(20):
        weight, second = problem(seed, outputs=1, inputs=5)
        fl = starting_fl(weight, 2, False)
        best = min(output_error(weight, row[None], fl, second)[0] for row in every)
        start, fitted = compensate(weight, fl, second, 2, False)
        if fitted[0] != fl[0]:
            continue
        error = output_error(weight, refine(weight, start, fl, second, 2), fl, second)[0]
        assert error >= best - 1e-12
        found, least = found + error, least + best
        plain += output_error(weight, nearest(weight, fl, 2), fl, second)[0]
    assert least <= found < least + 0.3 * (plain - least)


def test_refit_minimises_the_distance_to_the_float_output():
    layer, exact, fixed = random_layer(5)
    moments = input_moments(layer, exact, fixed, FORMAT, [slice(0, 7)])
    x, x_float = naive_windows(layer, dequantize(fixed, FORMAT)), naive_windows(layer, exact)
    weight = layer.weight.reshape(3, -1).astype(np.float64)

    def distance(candidate):
        return np.mean((x @ candidate.T - x_float @ weight.T) ** 2)

    fitted = refit(weight, moments)
    assert distance(fitted) < distance(weight)
    ridge = moments.second + np.eye(12) * 0.01 * np.mean(np.diag(moments.second)) - x.T @ x / len(x)
    slope = (x @ fitted.T - x_float @ weight.T).T @ x / len(x) + (fitted - weight) @ ridge
    assert np.allclose(slope, 0, atol=1e-9)
    same = input_moments(layer, dequantize(fixed, FORMAT), fixed, FORMAT, [slice(0, 7)])
    assert np.array_equal(refit(weight, same), weight), "without an error at the input nothing changes"


def test_corrected_bias_leaves_no_mean_error():
    layer, exact, fixed = random_layer(6)
    moments = input_moments(layer, exact, fixed, FORMAT, [slice(0, 7)])
    x, x_float = naive_windows(layer, dequantize(fixed, FORMAT)), naive_windows(layer, exact)
    weight, fl = layer.weight.reshape(3, -1).astype(np.float64), np.array([0, 1, 1])
    rounded = nearest(weight, fl, 3)
    bias = corrected_bias(weight, rounded, fl, layer.bias, moments)
    error = x @ (rounded / 2.0 ** fl[:, None]).T + bias - (x_float @ weight.T + layer.bias)
    assert np.allclose(error.mean(axis=0), 0)
    assert not np.allclose(bias, layer.bias)


def test_inputs_that_are_never_set_cost_nothing_and_round_to_nearest():
    weight, second = problem(8)
    second[3] = second[:, 3] = 0
    for moments in (second, np.zeros((12, 12))):
        rounded, fl = compensate(weight, starting_fl(weight, 4, False), moments, 4, False)
        assert np.array_equal(refine(weight, rounded, fl, moments, 4)[:, 3], nearest(weight, fl, 4)[:, 3])
