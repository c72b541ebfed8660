"""Each step of the tuner's default method against naive or exhaustive references on random layers.

Arrays have the axes [groups, rows, columns]: rows are the output channels of a group, columns their weights.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from quantflow.arithmetic import Format, dequantize, quantize, saturate
from quantflow.graph import Convolution, Dense, Window
from quantflow.tuner import compensation, refinement
from quantflow.tuner import moments as moments_module
from quantflow.tuner.bias_correction import corrected_bias
from quantflow.tuner.compensation import compensate, elimination
from quantflow.tuner.layers import Maps
from quantflow.tuner.least_squares import DAMPING, refit
from quantflow.tuner.moments import grouped, input_moments
from quantflow.tuner.output_error import least_output_error_fl, nearest, output_error, starting_fl
from quantflow.tuner.refinement import refine

FORMAT = Format(bits=8, fl=5)
RESIDUAL = Format(bits=6, fl=3)
# (channels of the input, outputs, groups): full, grouped, depthwise, depthwise with two outputs for each input.
SHAPES = [(2, 3, 1), (4, 6, 2), (3, 3, 3), (2, 4, 2)]


def random_layer(seed=0, shape=(2, 3, 1), residual=False):
    """A convolution and the Maps of its inputs, neighbours being correlated."""
    random = np.random.default_rng(seed)
    channels, outputs, groups = shape
    layer = Convolution(
        name="conv", inputs=("x", "r") if residual else ("x",), relu=True, groups=groups,
        input_shape=(channels, 5, 8), output_shape=(outputs, 3, 3),
        window=Window(kernel=(2, 3), stride=(2, 2), padding=(0, 1, 1, 1), dilation=(1, 2)),
        weight=random.normal(size=(outputs, channels // groups, 2, 3)).astype(np.float32),
        bias=random.normal(size=outputs).astype(np.float32),
    )  # fmt: skip
    sources = [maps(random, (7, channels, 5, 8), FORMAT)]
    if residual:
        sources.append(maps(random, (7, outputs, 3, 3), RESIDUAL))
    return layer, sources


def maps(random, shape, format):
    exact = np.maximum(np.cumsum(random.normal(size=shape), axis=3), 0).astype(np.float32)
    return Maps(exact=exact, fixed=quantize(exact + 0.1 * random.normal(size=exact.shape), format))


def formats(sources):
    return [FORMAT, RESIDUAL][: len(sources)]


def naive_windows(layer, x):
    """Every window of every group: float64 [G, windows, K], by loops."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (0, 1), (1, 1)))
    taken = [
        image[:, 2 * row : 2 * row + 2, [2 * column, 2 * column + 2, 2 * column + 4]]
        for image in x
        for row, column in np.ndindex(layer.output_shape[1:])
    ]
    return np.array(taken).reshape(len(taken), layer.groups, -1).transpose(1, 0, 2)


def naive_problem(layer, sources):
    """Windows of the fixed-point input [G, N, K], what the output lacks there [G, N, R], weights [G, R, K]."""
    x = naive_windows(layer, dequantize(sources[0].fixed, FORMAT))
    weight = layer.weight.reshape(layer.groups, -1, x.shape[2]).astype(np.float64)
    missing = (naive_windows(layer, sources[0].exact) - x) @ weight.swapaxes(1, 2)
    for source in sources[1:]:
        error = source.exact - dequantize(source.fixed, RESIDUAL)
        missing += error.transpose(1, 0, 2, 3).reshape(layer.groups, missing.shape[2], -1).swapaxes(1, 2)
    return x, missing, weight


def outer(a, b):
    """Mean over the windows [G, N, ...] of a b': [G, A, B]."""
    return a.swapaxes(1, 2) @ b / a.shape[1]


def problem(seed, outputs=5, inputs=12, windows=60, groups=1):
    """Random weights [G, O, K] and the second moments [G, K, K] of correlated inputs."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(groups, windows, inputs)) @ random.normal(size=(groups, inputs, inputs)) + 1
    return random.normal(size=(groups, outputs, inputs)), outer(x, x)


# Moments


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("column_values", [1, 1 << 23])
def test_moments_are_the_means_over_all_windows(shape, residual, column_values, monkeypatch):
    monkeypatch.setattr(moments_module, "COLUMN_VALUES", column_values)
    layer, sources = random_layer(1, shape, residual)
    moments = input_moments(layer, sources, formats(sources))
    x, missing, _ = naive_problem(layer, sources)
    width, count = x.shape[2], x.shape[1]
    shrinkage = x.var(axis=1)[:, :, None] * np.eye(width) * width / (width + count)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(moments.mean, x.mean(axis=1), **close)
    np.testing.assert_allclose(moments.second, outer(x, x) + shrinkage, **close)
    np.testing.assert_allclose(moments.cross, outer(missing, x), **close)
    np.testing.assert_allclose(moments.cross_mean, missing.mean(axis=1), **close)
    free, centred = moments.about_mean(), x - x.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(free.second, outer(centred, centred) + shrinkage, **close)
    np.testing.assert_allclose(free.cross, outer(missing, centred), **close)


def test_moments_of_a_dense_layer():
    random = np.random.default_rng(2)
    layer = Dense(
        name="fc", inputs=("x",), input_shape=(2, 3, 2), output_shape=(4, 1, 1),
        weight=random.normal(size=(4, 12)).astype(np.float32), bias=np.zeros(4, np.float32),
    )  # fmt: skip
    source = maps(random, (50, 2, 3, 2), FORMAT)
    moments = input_moments(layer, [source], [FORMAT])
    x = dequantize(source.fixed, FORMAT).reshape(50, 12)
    missing = (source.exact.reshape(50, 12) - x) @ layer.weight.T
    off_diagonal = ~np.eye(12, dtype=bool)
    np.testing.assert_allclose(moments.second[0][off_diagonal], (x.T @ x / 50)[off_diagonal], rtol=1e-5)
    np.testing.assert_allclose(moments.cross[0], missing.T @ x / 50, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
def test_sampled_moments_come_close_to_those_of_all_windows(residual, monkeypatch):
    layer, sources = random_layer(3, (4, 6, 2), residual)
    sources = [Maps(exact=np.tile(s.exact, (300, 1, 1, 1)), fixed=np.tile(s.fixed, (300, 1, 1, 1))) for s in sources]
    whole = input_moments(layer, sources, formats(sources))
    monkeypatch.setattr(moments_module, "SAMPLES", 3 * len(sources[0].exact))  # three pixels of nine
    part = input_moments(layer, sources, formats(sources))
    assert not np.array_equal(whole.mean, part.mean)
    for field in ("mean", "second", "cross", "cross_mean"):
        expected = getattr(whole, field)
        np.testing.assert_allclose(getattr(part, field), expected, atol=0.06 * np.abs(expected).max(), err_msg=field)


def test_the_same_windows_are_drawn_again(monkeypatch):
    monkeypatch.setattr(moments_module, "SAMPLES", 10)
    layer, sources = random_layer(4)
    first, second = (input_moments(layer, sources, [FORMAT]) for _ in range(2))
    assert np.array_equal(first.second, second.second) and np.array_equal(first.cross, second.cross)


@pytest.mark.parametrize("exponent", [-40, 60])
def test_moments_of_any_magnitude(exponent):
    layer, (source,) = random_layer(5)
    expected = input_moments(layer, [source], [FORMAT])
    far = Maps(exact=np.ldexp(source.exact, exponent), fixed=source.fixed)
    found = input_moments(layer, [far], [replace(FORMAT, fl=FORMAT.fl - exponent)])
    assert np.array_equal(found.mean, np.ldexp(expected.mean, exponent))
    assert np.array_equal(found.second, np.ldexp(expected.second, 2 * exponent))
    assert np.array_equal(found.cross, np.ldexp(expected.cross, 2 * exponent))


@pytest.mark.parametrize("groups", [1, 2])
def test_a_small_variance_is_not_lost_beside_a_large_mean(groups):
    random = np.random.default_rng(6)
    layer = Convolution(
        name="conv", inputs=("x",), input_shape=(4, 5, 5), output_shape=(2, 5, 5), groups=groups,
        window=Window(kernel=(1, 1)), weight=random.normal(size=(2, 4 // groups, 1, 1)).astype(np.float32),
        bias=np.zeros(2, np.float32),
    )  # fmt: skip
    # Neighbouring channels vary alike by one least significant bit, 30000 from zero.
    varying = random.integers(0, 2, (40, 2, 5, 5)).repeat(2, axis=1)
    fixed = (varying + np.array([30000, -30000, 20000, 7])[:, None, None]).astype(np.int16)
    format = Format(bits=16, fl=15)
    exact = dequantize(fixed, format) + random.normal(size=fixed.shape) * 2.0**-17
    moments = input_moments(layer, [Maps(exact=exact.astype(np.float32), fixed=fixed)], [format]).about_mean()
    x = fixed.reshape(40, groups, 4 // groups, 25).transpose(1, 0, 3, 2).reshape(groups, 1000, -1) - 0.0
    x -= x.mean(axis=1, keepdims=True)
    width = x.shape[2]
    expected = outer(x, x) * (1 + np.eye(width) * width / (width + 1000)) * 2.0**-30
    np.testing.assert_allclose(moments.second, expected, rtol=1e-4, atol=1e-4 * expected.max())


def test_grouped_by_hand():
    layer, _ = random_layer(0, (2, 4, 2))
    assert grouped(layer, np.arange(4)).tolist() == [[0, 1], [2, 3]]
    rows = grouped(layer, layer.weight)
    assert rows.shape == (2, 2, 6) and np.array_equal(rows[1, 0], layer.weight[2].ravel())


# The output error


def test_output_error_is_the_mean_squared_error_of_the_output():
    random = np.random.default_rng(1)
    x, weight = random.normal(size=(2, 50, 6)), random.normal(size=(2, 4, 6))
    fl = np.array([[1, 2, 3, 1], [0, 0, 2, 5]])
    rounded = nearest(weight, fl, 4)
    error = x @ (rounded / 2.0 ** fl[:, :, None] - weight).swapaxes(1, 2)
    assert np.allclose(output_error(weight, rounded, fl, outer(x, x)), (error**2).mean(axis=1))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_fl_with_the_least_output_error_of_all(bits, per_channel):
    weight, second = problem(bits, groups=2)
    errors = {}
    for fl in range(-9, 20):
        every = np.full((2, 5), fl)
        errors[fl] = output_error(weight, nearest(weight, every, bits), every, second)
    chosen = least_output_error_fl(weight, second, bits, per_channel)
    assert chosen.shape == (2, 5)
    if per_channel:
        for place, fl in np.ndenumerate(chosen):
            assert errors[fl][place] == min(error[place] for error in errors.values())
    else:
        assert np.ptp(chosen) == 0 and errors[chosen[0, 0]].sum() == min(e.sum() for e in errors.values())


def alone(step, weight, second, *arguments):
    """A step on each group by itself: its results stacked along the groups again."""
    results = [step(weight[g : g + 1], second[g : g + 1], *arguments) for g in range(len(weight))]
    return [np.concatenate(parts) for parts in zip(*results, strict=True)]


@pytest.mark.parametrize("bits", [2, 4])
def test_groups_do_not_touch_each_other(bits):
    weight, second = problem(9, groups=3)

    def whole(weight, second):
        fl = least_output_error_fl(weight, second, bits, True)
        compensated, fitted = compensate(weight, fl, second, bits, True)
        return fl, compensated, fitted, refine(weight, compensated, fitted, second, bits)

    for together, apart in zip(whole(weight, second), alone(whole, weight, second), strict=True):
        assert np.array_equal(together, apart)


# Compensation and refinement


def naive_brain_surgeon(weight, second, bits):
    """Column by column [R, K], the remaining columns being solved for anew each time, from the same damped H."""
    order = sorted(range(len(second)), key=lambda column: -second[column, column])
    damped = second + DAMPING * np.mean(np.diag(second)) * np.eye(len(second))
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
    weight, second = problem(7, groups=2)
    weight *= 3
    order, factor = elimination(second)
    rounded = np.empty_like(weight)
    columns = order[:, None].repeat(5, axis=1)
    swept = compensation._sweep(np.take_along_axis(weight, columns, axis=2), factor, 4)
    np.put_along_axis(rounded, columns, swept, axis=2)
    for group in range(2):
        assert np.array_equal(rounded[group], naive_brain_surgeon(weight[group], second[group], 4))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("groups", [1, 3])
def test_compensation_and_refinement_reduce_the_output_error(bits, per_channel, groups):
    before = after = refined = 0
    for seed in range(10):
        weight, second = problem(seed, groups=groups)
        fl = starting_fl(weight, bits, per_channel)
        plain = output_error(weight, nearest(weight, fl, bits), fl, second)
        rounded, fl = compensate(weight, fl, second, bits, per_channel)
        assert per_channel or np.ptp(fl) == 0
        compensated = output_error(weight, rounded, fl, second)
        assert compensated.sum() <= plain.sum() and (not per_channel or (compensated <= plain).all())
        integers = refine(weight, rounded, fl, second, bits)
        for values in (rounded, integers):
            assert values.min() >= -(1 << (bits - 1)) and values.max() < 1 << (bits - 1)
            assert np.array_equal(values, np.rint(values))
        least = output_error(weight, integers, fl, second)
        assert (least <= compensated + 1e-12).all()
        before, after, refined = before + plain.sum(), after + compensated.sum(), refined + least.sum()
    assert after < 0.7 * before and refined < after


@pytest.mark.parametrize("block", [1, 3, 64])
def test_refinement_ends_where_no_single_integer_can_be_better(block, monkeypatch):
    monkeypatch.setattr(refinement, "BLOCK", block)
    weight, second = problem(3, outputs=4, inputs=5, groups=2)
    fl = starting_fl(weight, 2, True)
    integers = refine(weight, nearest(weight, fl, 2), fl, second, 2)
    error = output_error(weight, integers, fl, second)
    for column, value in itertools.product(range(5), range(-2, 2)):
        other = integers.copy()
        other[:, :, column] = value
        assert (output_error(weight, other, fl, second) >= error - 1e-12).all()


def test_refinement_comes_close_to_the_best_of_all_roundings():
    every = np.array(list(itertools.product(range(-2, 2), repeat=5)), dtype=np.float64)
    found = least = plain = 0
    for seed in range(20):
        weight, second = problem(seed, outputs=1, inputs=5)
        fl = starting_fl(weight, 2, False)
        best = min(output_error(weight, row[None, None], fl, second).item() for row in every)
        start, fitted = compensate(weight, fl, second, 2, False)
        if fitted != fl:
            continue
        error = output_error(weight, refine(weight, start, fl, second, 2), fl, second).item()
        assert error >= best - 1e-12
        found, least = found + error, least + best
        plain += output_error(weight, nearest(weight, fl, 2), fl, second).item()
    assert least <= found < least + 0.3 * (plain - least)


def test_inputs_that_are_never_set_cost_nothing_and_round_to_nearest():
    weight, second = problem(8)
    second[:, 3] = second[:, :, 3] = 0
    for moments in (second, np.zeros((1, 12, 12))):
        rounded, fl = compensate(weight, starting_fl(weight, 4, False), moments, 4, False)
        refined = refine(weight, rounded, fl, moments, 4)
        assert np.array_equal(refined[:, :, 3], nearest(weight, fl, 4)[:, :, 3])


# Least squares and bias correction


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("residual", [False, True])
def test_refit_minimises_the_distance_to_the_float_output(shape, residual):
    layer, sources = random_layer(6, shape, residual)
    moments = input_moments(layer, sources, formats(sources))
    x, missing, weight = naive_problem(layer, sources)

    def distance(candidate):
        return np.mean((x @ (candidate - weight).swapaxes(1, 2) - missing) ** 2)

    fitted = refit(weight, moments)
    assert distance(fitted) < distance(weight)
    # The slope of the distance with what is added to its second moments: zero at the minimum.
    width = x.shape[2]
    damping = DAMPING * np.trace(moments.second, axis1=1, axis2=2) / width
    ridge = moments.second + damping[:, None, None] * np.eye(width) - outer(x, x)
    slope = outer(x @ (fitted - weight).swapaxes(1, 2) - missing, x) + (fitted - weight) @ ridge
    np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_without_an_error_at_the_inputs_refit_changes_nothing():
    layer, sources = random_layer(7, residual=True)
    exact = [
        Maps(exact=dequantize(s.fixed, f).astype(np.float32), fixed=s.fixed)
        for s, f in zip(sources, formats(sources), strict=True)
    ]
    weight = grouped(layer, layer.weight)
    assert np.array_equal(refit(weight, input_moments(layer, exact, formats(exact))), weight)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("residual", [False, True])
def test_corrected_bias_leaves_no_mean_error(shape, residual):
    layer, sources = random_layer(8, shape, residual)
    x, missing, weight = naive_problem(layer, sources)
    fl = np.arange(len(layer.weight)) % 3
    rounded = nearest(weight, grouped(layer, fl), 3)
    change = rounded / 2.0 ** grouped(layer, fl)[:, :, None] - weight
    bias = corrected_bias(layer, rounded.reshape(layer.weight.shape).astype(np.int32), fl, sources, formats(sources))
    # The fixed-point output less the float one, before the activation.
    error = x @ change.swapaxes(1, 2) - missing + (bias - layer.bias).reshape(layer.groups, 1, -1)
    np.testing.assert_allclose(error.mean(axis=1), 0, atol=1e-5)
    assert not np.allclose(bias, layer.bias)
