"""Maps' fractional lengths refined together: every move against a network built by hand at that fl."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow.arithmetic import Format, dequantize
from quantflow.float_engine import run as run_float
from quantflow.graph import Convolution, MaxPool, Network, Window
from quantflow.integer_engine import run
from quantflow.quantized import MOVING, WEIGHTED, QuantizedLayer, QuantizedNetwork
from quantflow.tuned_file import load, save
from quantflow.tuner.joint import IMAGES, moved, output_error, refine_together
from quantflow.tuner.methods import STEPS
from quantflow.tuner.tune import tune
from tests.quantflow.branched import IMAGE, OUTPUTS, branched, branched_images, branched_network
from tests.quantflow.float_graphs import every_kind, images
from tests.quantflow.shifts import shifts
from tests.quantflow.tuned_folders import assert_equal

MAPS = {"image": IMAGE} | OUTPUTS


def on_a_grid(network):
    """The biases are multiples of 2**-8, so that they are exact at every fl of sums here."""
    layers = (
        replace(layer, bias=np.rint(layer.bias * 2**8) / np.float32(2**8)) if isinstance(layer, WEIGHTED) else layer
        for layer in network.layers
    )
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("step", [-2, -1, 1, 2])
def test_a_moved_map_gives_the_network_that_has_it_there_from_the_start(name, step):
    network, format = on_a_grid(branched_network()), replace(MAPS[name], fl=MAPS[name].fl + step)
    maps = MAPS | {name: format}
    outputs = {each: maps[each] for each in OUTPUTS}
    expected = branched(network=network, outputs=outputs, image=maps["image"])
    before = branched(network=network)
    after = moved(before, name, format.fl)
    assert_equal(after, expected)
    assert_equal(before, branched(network=network)), "the network that it was made from stays as it was"
    for each, entry in before.layers.items():
        assert after.layers[each].weight is entry.weight and after.layers[each].weight_fl is entry.weight_fl
    calibration = branched_images(5)
    first, second = run(after, calibration), run(expected, calibration)
    assert all(np.array_equal(first[each], second[each]) for each in second)


def test_biases_are_rounded_half_to_even_where_sums_become_coarser():
    before = branched()
    before.layers["conv1"].bias[:] = [5, 6, 7, -5]
    assert moved(before, "image", IMAGE.fl - 1).layers["conv1"].bias.tolist() == [2, 3, 4, -2]
    assert moved(before, "image", IMAGE.fl + 1).layers["conv1"].bias.tolist() == [10, 12, 14, -10]
    assert moved(before, "conv1", OUTPUTS["conv1"].fl - 1).layers["conv1"].bias.tolist() == [5, 6, 7, -5]


def pooled(residual_fl=9, output_fl=2):
    """y = 3/4 pool(a) + r of one pixel x, a and r being x plus a bias; y's sums are at fl 5, or the residual's."""
    shapes = {"input_shape": (1, 1, 1), "output_shape": (1, 1, 1), "window": Window(kernel=(1, 1))}
    numbers = {"weight": np.full((1, 1, 1, 1), 1, "f4"), "bias": np.zeros(1, "f4")}
    layers = (
        Convolution(name="a", inputs=("x",), **shapes, **numbers),
        Convolution(name="r", inputs=("x",), **shapes, **numbers),
        MaxPool(name="pool", inputs=("a",), **shapes),
        Convolution(name="y", inputs=("pool", "r"), **shapes, **numbers),
    )
    network = Network(name="pooled", input_name="x", input_shape=(1, 1, 1), layers=layers)
    formats = {"a": Format(bits=8, fl=3), "r": Format(bits=8, fl=residual_fl), "y": Format(bits=8, fl=output_fl)}
    weights = {"a": (1, 0), "r": (1, 0), "y": (3, 2)}
    tuned = QuantizedNetwork(network=network, input=Format(bits=8, fl=4), layers={})
    for name, (weight, fl) in weights.items():
        tuned.layers[name] = QuantizedLayer(
            name=name, weight_bits=8, weight=np.full((1, 1, 1, 1), weight, np.int32), weight_fl=np.int32([fl]),
            bias=np.int64([16]), output=formats[name],
        )  # fmt: skip
    return tuned


def test_sums_follow_the_residual_while_it_is_finer_than_the_products():
    tuned = pooled(residual_fl=6)
    found = {fl: moved(tuned, "r", fl) for fl in (3, 4, 5, 6, 7, 8)}
    assert {fl: shifts(network, "y").tolist() for fl, network in found.items()} == {
        3: [3], 4: [3], 5: [3], 6: [4], 7: [5], 8: [6],
    }  # fmt: skip
    assert {fl: network.layers["y"].bias.tolist() for fl, network in found.items()} == {
        3: [8], 4: [8], 5: [8], 6: [16], 7: [32], 8: [64],
    }  # fmt: skip
    assert moved(tuned, "a", 4).layers["y"].bias.tolist() == [16], "the residual still decides"


def test_illegal_moves_are_none():
    tuned = pooled(residual_fl=3, output_fl=2)
    # The sums of y are at fl 5, those of a at 4: to the left by 7 bits at most, and to the right by less than 48.
    assert moved(tuned, "y", 12) is not None and moved(tuned, "y", 13) is None
    assert moved(tuned, "y", -42) is not None and moved(tuned, "y", -43) is None
    assert moved(tuned, "a", 11) is not None and moved(tuned, "a", 12) is None
    # The reader behind the pooling counts too: at fl -8 its sums are at -6, 8 bits coarser than its output.
    coarse = pooled(residual_fl=-20, output_fl=2)
    assert moved(coarse, "a", -7) is not None and moved(coarse, "a", -8) is None
    # A bias of 2**46 - 1 has no room for a finer input, and one of half as much just has.
    for bias, legal in ((1 << 46, False), ((1 << 46) - (1 << 10), True)):
        tuned.layers["a"].bias[:] = bias
        assert (moved(tuned, "x", 5) is not None) == legal


def test_the_error_is_that_of_the_output_in_its_own_unit():
    tuned = branched()
    calibration = branched_images(6)
    y_float = run_float(tuned.network, calibration)
    y = dequantize(run(tuned, calibration)["fc"], OUTPUTS["fc"])
    assert output_error(tuned, calibration, y_float) == pytest.approx(((y_float - y) ** 2).sum(), rel=1e-6)


def refined(tuned, calibration):
    return refine_together(tuned, calibration, run_float(tuned.network, calibration))


def detuned(seed=0):
    """A tuned network with every kind of layer, some of whose maps are a bit too fine or too coarse."""
    tuned = tune(every_kind(seed), images(12), method="paper")
    maps = ["x", *tuned.layers, *tuned.formats]
    for name in np.random.default_rng(seed).choice(maps, 4, replace=False):
        tuned = moved(tuned, name, tuned.output_format(name).fl - 2) or tuned
    return tuned


@pytest.mark.parametrize("seed", range(3))
def test_the_error_falls_and_only_formats_shifts_and_biases_change(seed, tmp_path):
    calibration, before = images(12), detuned(seed)
    y_float = run_float(before.network, calibration)
    after = refine_together(before, calibration, y_float)
    errors = [output_error(each, calibration, y_float) for each in (before, after)]
    assert errors[1] < 0.8 * errors[0]
    for name, entry in after.layers.items():
        assert entry.weight is before.layers[name].weight
        assert np.array_equal(entry.weight_fl, before.layers[name].weight_fl)
    for name in ("x", *before.layers, *before.formats):
        one, other = before.output_format(name), after.output_format(name)
        assert abs(one.fl - other.fl) <= 1 and (one.bits, one.signed) == (other.bits, other.signed)
    save(after, tmp_path / "tuned")
    assert_equal(load(tmp_path / "tuned"), after)


def test_one_free_map_takes_the_best_of_its_neighbours():
    calibration, tuned = images(12), detuned()
    y_float = run_float(tuned.network, calibration)
    maps = {name: tuned.output_format(name) for name in ("x", *tuned.layers, *tuned.formats)}
    taken = set()
    for name, format in maps.items():
        for start in (format.fl - 2, format.fl + 1):
            before = moved(tuned, name, start)
            if before is None:
                continue
            given = {each: before.output_format(each) for each in maps if each != name}
            before = replace(before, network=replace(before.network, formats=given))
            after = refine_together(before, calibration, y_float)
            found = {fl: moved(before, name, fl) for fl in (start - 1, start, start + 1)}
            errors = {fl: output_error(each, calibration, y_float) for fl, each in found.items() if each is not None}
            chosen = after.output_format(name).fl
            assert errors[chosen] <= min(errors.values()) * (1 + 2e-3), name
            assert_equal(after, found[chosen])
            taken.add(chosen - start)
    assert taken >= {-1, 1}


@pytest.mark.parametrize("bits", [3, 8])
def test_the_error_never_rises(bits):
    calibration = images(20)
    for seed in range(3):
        network = every_kind(seed)
        y_float = run_float(network, calibration)
        tuned = tune(network, calibration, weight_bits=bits, activation_bits=bits)
        errors = [output_error(each, calibration, y_float) for each in (tuned, refined(tuned, calibration))]
        assert errors[1] <= errors[0]


def test_only_the_first_images_count():
    tuned, calibration = detuned(), images(IMAGES + 30)
    assert_equal(refined(tuned, calibration), refined(tuned, calibration[:IMAGES]))


def test_given_formats_are_left():
    tuned, calibration = detuned(), images(12)
    free = refined(tuned, calibration)
    maps = [tuned.network.input_name, *(each.name for each in tuned.network.layers if not isinstance(each, MOVING))]
    changed = [name for name in maps if free.output_format(name) != tuned.output_format(name)]
    given = {name: tuned.output_format(name) for name in changed[:2]}
    assert len(given) == 2
    kept = refined(replace(tuned, network=replace(tuned.network, formats=given)), calibration)
    assert {name: kept.output_format(name) for name in given} == given
    every = {name: tuned.output_format(name) for name in maps}
    assert_equal(refined(replace(tuned, network=replace(tuned.network, formats=every)), calibration), tuned)


def test_tune_takes_the_step_only_where_asked_for():
    network, calibration = every_kind(), images(12)
    options = {"weight_bits": 4, "activation_bits": 4, "per_channel": True}
    steps = STEPS[1:]  # of the network as it is, on which joint does move something
    plain = tune(network, calibration, steps=steps, **options)
    asked = tune(network, calibration, steps=[*steps, "joint"], **options)
    assert_equal(asked, refined(plain, calibration))
    assert any(plain.output_format(layer.name) != asked.output_format(layer.name) for layer in network.layers)
    assert (plain.tuning["steps"], asked.tuning["steps"]) == (list(steps), [*steps, "joint"])
