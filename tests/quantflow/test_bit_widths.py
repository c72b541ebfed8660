"""The search for bit widths: what may be chosen, what it costs, descents, and the whole search on a small network."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from quantflow import float_engine, integer_engine
from quantflow.arithmetic import Format, dequantize
from quantflow.bit_widths import Limits, Problem, Widths, measurement, search
from quantflow.bit_widths.costs import Cycles, Machine, MemoryBytes, ParameterBytes
from quantflow.bit_widths.descent import Model
from quantflow.bit_widths.measurement import measure
from quantflow.bit_widths.search import quiet
from quantflow.bit_widths.sensitivity import Sensitivity
from quantflow.bit_widths.trials import FIGURES, Trial, Trials
from quantflow.bit_widths.widths import ACTIVATION, WEIGHT, make_space
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.datasets import Dataset
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.graph import WeightFormat
from quantflow.size import network_bytes
from quantflow.tuner.tune import tune
from tests.quantflow.networks import RandomNetwork, with_floats

MACHINE = Machine(config=Config(pixels=4, lanes=4, port_bits=32), timing=MemoryTiming())


def small_network(seed=0):
    """A chain of two convolutions and a dense layer: conv1, conv2, fc3."""
    builder = RandomNetwork(seed, (2, 6, 6)).convolution(6, (3, 3)).convolution(8, (3, 3)).dense(5, relu=False)
    return with_floats(builder.finish(), seed).network


def small_images(count=24, labels=False, seed=1):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2, 6, 6)).astype(np.float32) / 2
    return Dataset(images=x, labels=random.integers(0, 5, count) if labels else None)


def problem(limits, *, labels=False, count=24, weight_bits=None, activation_bits=8, fixed=None, **fields):
    network = small_network()
    space = make_space(network, weight_bits=weight_bits, activation_bits=activation_bits, fixed=fixed)
    return Problem.of(network, small_images(count, labels), space=space, limits=limits, **fields)


# Spaces


def test_a_space_has_a_slot_for_all_weights_and_maps():
    space = make_space(small_network(), fixed={"conv2": (5, None), "image": (None, 12)})
    assert [slot for slot in space.candidates if slot not in space.free] == [(WEIGHT, "conv2"), (ACTIVATION, "image")]
    assert space.widest().weight_bits == {"conv1": 8, "conv2": 5, "fc3": 8}
    assert space.narrowest().to_json() == {
        "weight_bits": {"conv1": 2, "conv2": 5, "fc3": 2},
        "activation_bits": {"image": 12, "conv1": 4, "conv2": 4, "fc3": 4},
    }
    assert space.uniform(3, 6)[ACTIVATION, "fc3"] == 6
    assert space.widest().changed((WEIGHT, "fc3"), 4).weight_bits == {"conv1": 8, "conv2": 5, "fc3": 4}


def test_formats_that_a_model_came_with_are_no_choice():
    given = WeightFormat(bits=7, fl=np.zeros(6, np.int32))
    network = replace(
        small_network(), weight_formats={"conv1": given}, formats={"conv2": Format(bits=6, fl=3, signed=True)}
    )
    space = make_space(network)
    assert space.candidates[WEIGHT, "conv1"] == (7,) and space.candidates[ACTIVATION, "conv2"] == (6,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"conv9": (4, None)}}, "widths are given for 'conv9', where the layers that have any are image"),
        ({"fixed": {"image": (4, None)}}, "4 weight bits are given for 'image', which has no weights"),
        ({"weight_bits": 17}, "weight bits are a whole number from 2 to 16, not 17 for conv1"),
        ({"fixed": {"fc3": (None, 1)}}, "activation bits are a whole number from 2 to 16, not 1 for fc3"),
    ],
)
def test_spaces_that_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        make_space(small_network(), **options)


# Costs


def test_costs_are_those_of_the_tuned_network_at_its_own_widths():
    network, images = small_network(), small_images().images
    widths = make_space(network).uniform(6, 7)
    quantized = tune(network, images, **widths.to_json())
    assert ParameterBytes(quantized)(widths) == network_bytes(quantized)
    # Maps: 2x6x6 of the input, 6x4x4, 8x2x2, 5, of 7 bits each, every map rounded up to whole bytes.
    maps = sum(math.ceil(values * 7 / 8) for values in (72, 96, 32, 5))
    assert MemoryBytes(quantized)(widths) == network_bytes(quantized) + maps
    assert Cycles(quantized, MACHINE)(widths) == MACHINE.cycles(quantized)


def test_a_bit_less_saves_a_bit_of_every_weight_and_bias():
    network = small_network()
    widths = make_space(network).uniform(8, 8)
    cost = ParameterBytes(tune(network, small_images().images, **widths.to_json()))
    layer = network["conv2"]
    saved = cost(widths) - cost(widths.changed((WEIGHT, "conv2"), 4))
    assert saved == pytest.approx(4 * layer.parameters / 8, abs=1)


def test_cycles_depend_on_the_width_in_memory_only():
    network = small_network()
    widths = make_space(network).uniform(8, 8)
    cycles = Cycles(tune(network, small_images().images, **widths.to_json()), MACHINE)
    at = {bits: cycles(widths.changed((WEIGHT, "fc3"), bits)) for bits in (8, 5, 4, 3, 2)}
    assert at[8] == at[5] > at[4] == at[3] > at[2]


# Trials


def test_what_was_measured_outlives_the_run_and_damaged_lines_are_measured_again(tmp_path):
    path, figures = tmp_path / "deep" / "trials.jsonl", dict.fromkeys(FIGURES, 1.5) | {"cycles": None}
    Trials(path).put("a", figures)
    with path.open("a") as file:
        file.write('{"key": 5}\n[1]\nnot JSON\n{"key": "c", "agreement": "x", "drop": 1}\n')
    known, widths = Trials(path), make_space(small_network()).widest()
    assert Trial.known(widths, known.get("a")) == Trial(widths=widths, **figures)
    assert known.get("b") == {} and Trial.known(widths, {}) is None and Trial.known(widths, known.get("c")) is None
    assert Trial.known(widths, figures | {"drop": float("nan")}) is None


@pytest.mark.parametrize(
    "entry", [{}, {"slots": 5}, {"slots": [], "output_noise": 1}, {"slots": [1], "output_noise": 1}]
)
def test_damaged_sensitivities_are_measured_again(entry):
    given = problem(Limits(max_bytes=1))
    widths, slots = given.space.widest(), given.space.free
    assert Sensitivity.known(given.space, slots, widths, entry) is None
    whole = measure(given, widths)
    assert Sensitivity.known(given.space, slots, widths, whole.to_json()) == whole
    damaged = whole.to_json() | {"output_noise": float("inf")}
    assert Sensitivity.known(given.space, slots, widths, damaged) is None


def test_trials_that_cannot_be_written_or_read(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="trials cannot be written"):
        Trials(tmp_path / "file" / "trials").put("a", {})
    with pytest.raises(UserError, match="cannot be read"):
        Trials(tmp_path)


# Descent, on sensitivities and costs made up


def made_up(added, sizes, limit):
    """A Model of weights alone: `added` noise by layer and width, a size for each bit of each layer."""
    widest = Widths(weight_bits={name: max(values) for name, values in added.items()}, activation_bits={})
    sensitivity = Sensitivity(widths=widest, noise=1.0, added={(WEIGHT, name): each for name, each in added.items()})

    def cost(widths):
        return sum(sizes[name] * bits for name, bits in widths.weight_bits.items())

    return Model(sensitivity=sensitivity, costs=[(cost, limit)]), widest


def test_descent_takes_the_least_noise_for_a_unit_of_cost():
    # b: 1 for 10; a: 1 for 1, then 5 for 1.
    added = {"a": {6: 6.0, 7: 1.0, 8: 0.0}, "b": {7: 1.0, 8: 0.0}}
    model, widest = made_up(added, {"a": 1, "b": 10}, None)
    steps = [tuple(widths.weight_bits.values()) for widths in model.descend(widest)]
    assert steps == [(8, 8), (8, 7), (7, 7), (6, 7)]
    assert model.predict(Widths(weight_bits={"a": 6, "b": 7}, activation_bits={})) == 8.0


def test_descent_jumps_over_widths_that_save_nothing():
    model, widest = made_up({"a": {4: 2.0, 5: 1.0, 8: 0.0}}, {"a": 1}, None)
    model = Model(sensitivity=model.sensitivity, costs=[(lambda widths: 8 if widths.weight_bits["a"] > 4 else 4, 4)])
    assert [widths.weight_bits["a"] for widths in model.descend(widest)] == [8, 4]
    assert model.fit(widest).weight_bits == {"a": 4}


def test_what_is_left_of_a_limit_is_spent_again():
    # Only b's step brings the cost below 13; then a has room that the descent had taken from it.
    added = {"a": {7: 0.1, 8: 0.0}, "b": {1: 9.0, 2: 0.0}}
    model, widest = made_up(added, {"a": 1, "b": 6}, 14)
    assert model.fit(widest).weight_bits == {"a": 8, "b": 1}
    assert model.fit(widest, held=[(WEIGHT, "b")]) is None


@pytest.mark.parametrize("seed", range(6))
def test_solve_is_near_the_best_of_all_choices(seed):
    random = np.random.default_rng(seed)
    names, widths = "abcd", range(2, 7)
    scale = {name: 10 ** random.uniform(-1, 1) for name in names}
    added = {name: {bits: scale[name] * (4.0**-bits - 4.0**-6) for bits in widths} for name in names}
    sizes = {name: int(random.integers(5, 60)) for name in names}
    limit = 4 * sum(sizes.values())
    model, widest = made_up(added, sizes, limit)
    found = model.solve(widest)
    assert model.within(found)
    every = [Widths(weight_bits=dict(zip(names, bits, strict=True)), activation_bits={})
             for bits in itertools.product(widths, repeat=4)]  # fmt: skip
    best = min(model.predict(each) for each in every if model.within(each))
    uniform = model.predict(Widths(weight_bits=dict.fromkeys(names, 4), activation_bits={}))
    assert best <= model.predict(found) <= uniform
    assert model.predict(found) - 1 <= 1.3 * (best - 1)


# Sensitivity


def test_sensitivity_measures_every_width_of_every_free_slot():
    given = problem(Limits(max_bytes=1), activation_bits=None, fixed={"conv2": (6, None)})
    widths = given.space.widest()
    sensitivity = measure(given, widths)
    assert set(sensitivity.added) == set(given.space.free)
    found = evaluate(given.tune(widths), given.held_out.images)
    assert sensitivity.noise == pytest.approx(found.output_noise / found.output_signal)
    for slot, added in sensitivity.added.items():
        assert added[widths[slot]] == 0 and tuple(added) == given.space.candidates[slot]
        assert list(added.values()) == sorted(added.values(), reverse=True)
    assert sensitivity.predict(widths) == sensitivity.noise
    assert "added" in sensitivity.to_json()["slots"][0]


def test_sensitivity_predicts_what_a_tuning_for_one_narrow_layer_gives():
    given = problem(Limits(max_bytes=1), activation_bits=None, count=128)
    widths = given.space.widest()
    sensitivity = measure(given, widths)
    choices = [widths.changed(slot, bits) for slot in given.space.free for bits in (4, 5)]
    predicted = np.log([sensitivity.predict(each) for each in choices])
    measured = np.log([given.evaluate(each).output_noise for each in choices])
    assert np.corrcoef(predicted, measured)[0, 1] > 0.9


def test_a_width_that_does_not_go_with_the_other_formats_counts_as_no_output(monkeypatch):
    given = problem(Limits(max_bytes=1))
    tune_layer = measurement.tune_layer

    def refusing(tuned, layer, sources, choice, room):
        if (layer.name, choice.weight_bits) == ("conv2", 3):
            raise UserError("too coarse")
        return tune_layer(tuned, layer, sources, choice, room)

    monkeypatch.setattr(measurement, "tune_layer", refusing)
    sensitivity = measure(given, given.space.widest())
    added = sensitivity.added[WEIGHT, "conv2"]
    assert added[3] == pytest.approx(1 - sensitivity.noise) and added[2] >= added[3] > added[4]


def test_sensitivity_seen_from_other_widths_predicts_the_same():
    given = problem(Limits(max_bytes=1))
    sensitivity = measure(given, given.space.widest())
    other = given.space.uniform(5, 8)
    around = sensitivity.around(other, sensitivity.predict(other))
    for widths in (given.space.uniform(3, 8), given.space.widest()):
        assert around.predict(widths) == pytest.approx(sensitivity.predict(widths))
    local = measure(given, other, maps=False)
    assert all(local.added[slot][5] == 0 for slot in local.added)
    assert all(added[8] <= 0 <= added[2] for added in local.added.values())


# The search


def uniform_bytes(given, bits):
    return network_bytes(given.tune(given.space.uniform(bits, 8)))


def test_search_keeps_the_bytes_and_is_no_worse_than_uniform_widths():
    limit = uniform_bytes(problem(Limits(max_bytes=1)), 4)
    found = search(problem(Limits(max_bytes=limit)), exchanges=3)
    assert max(found.chosen.parameter_bytes, found.uniform.parameter_bytes) <= limit
    assert found.chosen.output_noise <= found.uniform.output_noise
    assert set(found.uniform.widths.weight_bits.values()) == {4}
    assert found.tunes == len(found.path) and found.known == 0
    figures = found.to_json()
    assert {"weight_bits", "activation_bits", "parameter_bytes", "cycles", "agreement", "output_sqnr_db"} <= set(
        figures["path"][0]
    )
    assert figures["chosen"] in figures["path"]


def test_a_second_search_finds_what_the_first_has_measured(tmp_path):
    limits = Limits(max_bytes=uniform_bytes(problem(Limits(max_bytes=1)), 5))
    first = search(problem(limits, trials=Trials(tmp_path / "t")), exchanges=2)
    second = search(problem(limits, trials=Trials(tmp_path / "t")), exchanges=2)
    assert (second.tunes, second.known) == (0, first.tunes)
    assert second.chosen == first.chosen
    other = search(problem(limits, options={"method": "mse"}, trials=Trials(tmp_path / "t")), exchanges=0)
    assert other.known == 0


def test_the_smallest_network_within_a_drop():
    given = {drop: problem(Limits(max_drop=drop), activation_bits=None, count=64) for drop in (40.0, 100.0)}
    wide, narrow = (search(each, exchanges=2) for each in given.values())
    assert wide.chosen.drop <= 40
    assert narrow.chosen.widths == given[100].space.narrowest()
    sizes = [given[100].figure(trial) for trial in (narrow.chosen, wide.chosen, wide.uniform)]
    assert sizes[0] < sizes[1] <= sizes[2]


@pytest.mark.parametrize("labels", [False, True])
def test_the_drop_is_the_greater_of_the_own_and_of_every_error_on_every_image(labels):
    given = problem(Limits(max_drop=100.0), labels=labels, count=40)
    trial = given.evaluate(given.space.uniform(2, 8))
    held_out = given.held_out
    assert (len(held_out), len(given.images)) == (10, 30)
    quantized = given.tune(trial.widths)
    found = evaluate(quantized, held_out.images, held_out.labels)
    assert trial.agreement == found.agreement
    assert trial.output_noise == pytest.approx(found.output_noise / found.output_signal)
    exact = float_engine.run(given.network, held_out.images).reshape(10, -1)
    fixed = dequantize(integer_engine.run(quantized, held_out.images)["fc3"], quantized.output_format("fc3"))
    errors = fixed.reshape(10, -1) - exact
    wanted = exact.argmax(1) if held_out.labels is None else held_out.labels
    right = [[(x + error).argmax() == answer for error in errors] for x, answer in zip(exact, wanted, strict=True)]
    before = np.mean(exact.argmax(1) == wanted)
    assert trial.drop == pytest.approx(100 * max(before - np.mean(right), before - np.mean(np.diag(right))))


def test_cycles_are_kept():
    given = problem(Limits(max_cycles=1), machine=MACHINE)
    limit = MACHINE.cycles(given.tune(given.space.uniform(4, 8)))
    found = search(problem(Limits(max_cycles=limit), machine=MACHINE), exchanges=1)
    assert found.chosen.cycles <= limit < found.widest.cycles
    assert found.chosen.output_noise <= found.uniform.output_noise


def test_choices_that_the_machine_does_not_compute_are_not_taken(monkeypatch):
    limit = MACHINE.cycles(problem(Limits()).tune(problem(Limits()).space.uniform(4, 8)))
    monkeypatch.setattr(Problem, "_cycles", lambda *_: None)
    with pytest.raises(UserError, match="no widths were found that the machine computes within --max-cycles"):
        search(problem(Limits(max_cycles=limit), machine=MACHINE), exchanges=2)


def test_estimates_that_are_too_low_are_corrected(monkeypatch):
    limit = uniform_bytes(problem(Limits(max_bytes=1)), 4)
    honest = ParameterBytes.__call__
    monkeypatch.setattr(ParameterBytes, "__call__", lambda self, widths: honest(self, widths) - 40)
    found = search(problem(Limits(max_bytes=limit)), exchanges=4)
    assert found.chosen.parameter_bytes <= limit < max(trial.parameter_bytes for trial in found.path[1:])


@pytest.mark.parametrize("before", range(1, 5))
def test_an_interrupt_keeps_the_best_so_far(before):
    limits = Limits(max_bytes=uniform_bytes(problem(Limits(max_bytes=1)), 4))
    stages = []

    def stage(title):
        stages.append(title)
        if f"exchange {before + 1} of" in title:
            raise KeyboardInterrupt
        return quiet(title)

    cut, whole = search(problem(limits), exchanges=8, stage=stage), search(problem(limits), exchanges=before)
    assert cut.interrupted and not whole.interrupted
    assert cut.chosen == whole.chosen and cut.path == whole.path
    assert stages[0] == "sensitivity of each layer to each width"


@pytest.mark.parametrize(
    ("limits", "fields", "message"),
    [
        ({"max_bytes": 10}, {}, r"--max-bytes 10 where the narrowest widths take about \d+"),
        ({"max_cycles": 5}, {"machine": MACHINE}, r"--max-cycles 5 where the narrowest widths take about [\d,]+"),
        ({"max_drop": -1.0}, {}, r"no widths were found within --max-drop -1: the best choice loses \S+ points"),
    ],
)  # fmt: skip
def test_limits_that_cannot_be_kept(limits, fields, message):
    with pytest.raises(UserError, match=message):
        search(problem(Limits(**limits), **fields), exchanges=0)


def test_cycles_of_a_network_that_the_machine_does_not_run():
    machine = Machine(config=Config(pixels=4, lanes=4, port_bits=32, activation_depth=2), timing=MemoryTiming())
    with pytest.raises(UserError, match="cycles cannot be limited where the machine does not run the network: layer"):
        search(problem(Limits(max_cycles=5), machine=machine))


def test_one_image_cannot_be_cut_in_two():
    network = small_network()
    with pytest.raises(UserError, match="at least 2 calibration images"):
        Problem.of(network, small_images(1), space=make_space(network), limits=Limits(max_bytes=1))
