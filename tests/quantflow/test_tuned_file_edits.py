"""Choices edited by hand in a tuned network's file: kept, said, and followed by every integer that depends on them."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from quantflow.accumulation import MAX_LEFT_SHIFT, accumulator_fl
from quantflow.arithmetic import Format, quantize
from quantflow.errors import UserError
from quantflow.graph import Dense, Network
from quantflow.integer_engine import run_integers
from quantflow.quantized import QuantizedLayer, QuantizedNetwork
from quantflow.tuned_file import load, save
from tests.quantflow.networks import RandomNetwork, every_kind, with_floats
from tests.quantflow.shifts import shifts
from tests.quantflow.tuned_folders import assert_equal, assert_equal_fields, entry, refused, rewrite, structure_of

WEIGHTED = ("conv1", "conv3", "conv4", "fc13", "fc14")
WITH_FORMAT = (*WEIGHTED, "activation2", "average5", "add6", "concat7", "average11")


@pytest.fixture
def tuned():
    return with_floats(every_kind(2, vary=True).finish())


@pytest.fixture
def folder(tuned, tmp_path):
    save(tuned, tmp_path / "tuned")
    return tmp_path / "tuned"


def edited(folder, *changes):
    for change in changes:
        rewrite(folder, change)
    return load(folder)


def nearest(value, fl):
    """`value`, exact, as an integer at `fl`, rounded half to even by Python's own fractions."""
    return round(Fraction(value) * Fraction(2) ** int(fl))


def assert_in_line(before, after):
    """Every integer of `after` is what rounding by hand makes of `before` for the formats of `after`."""
    for layer in before.network.layers:
        if layer.name not in before.layers:
            continue
        old, new = before.layers[layer.name], after.layers[layer.name]
        old_sums, new_sums = (accumulator_fl(network, layer).tolist() for network in (before, after))
        for channel in range(len(old.bias)):
            fl, old_fl = int(new.weight_fl[channel]), int(old.weight_fl[channel])
            if (fl, new.weight_bits) != (old_fl, old.weight_bits):
                high = 1 << (new.weight_bits - 1)
                exact = layer.weight[channel].ravel().tolist()
                expected = [min(max(nearest(value, fl), -high), high - 1) for value in exact]
                assert new.weight[channel].ravel().tolist() == expected
            else:
                assert np.array_equal(new.weight[channel], old.weight[channel])
            value = Fraction(int(old.bias[channel])) / Fraction(2) ** old_sums[channel]
            assert new.bias[channel] == nearest(value, new_sums[channel])


# One fully connected layer, worked by hand


def one_layer(tmp_path):
    """0.3 and -0.7 as 20 and -44 (not the nearest, 19 and -45: compensated), and the bias 100 / 1024, corrected."""
    layer = Dense(
        name="fc",
        inputs=("x",),
        input_shape=(2, 1, 1),
        output_shape=(1, 1, 1),
        weight=np.array([[0.3, -0.7]], np.float32),
        bias=np.array([0.5], np.float32),
    )
    integers = QuantizedLayer(
        name="fc",
        weight_bits=8,
        weight=np.array([[20, -44]], np.int32),
        weight_fl=np.array([6], np.int32),
        bias=np.array([100], np.int64),
        output=Format(bits=8, fl=5),
    )
    network = Network(name="n", input_name="x", input_shape=(2, 1, 1), layers=(layer,))
    save(
        QuantizedNetwork(network=network, input=Format(bits=8, fl=4), layers={"fc": integers}),
        tmp_path / "tuned",
    )
    return tmp_path / "tuned"


@pytest.mark.parametrize(
    ("fl", "weight", "bias", "shift", "more"),
    [
        (7, [38, -90], 200, 6, ""),  # 38.4 and -89.6
        (3, [2, -6], 12, 2, ""),  # 2.4 and -5.6; the bias 12.5 to even
        (8, [77, -128], 400, 7, ", 1 of them saturating"),  # 76.8 and -179.2
    ],
)
def test_the_weights_fl(tmp_path, fl, weight, bias, shift, more):
    got = edited(one_layer(tmp_path), entry("fc", "weight", "fl")(fl))
    entries = got.layers["fc"]
    assert (entries.weight.tolist(), entries.bias.tolist(), shifts(got, "fc").tolist()) == ([weight], [bias], [shift])
    expected = f"layer fc: weight fl {fl} was set by hand (tuned: 6); its weights are rounded anew{more}"
    assert got.edits == got.by_hand == (expected,)


def test_the_weights_bits(tmp_path):
    got = edited(one_layer(tmp_path), entry("fc", "weight", "bits")(6))
    entries = got.layers["fc"]
    # 19.2 and -44.8, of which 6 bits hold -32 at least; the bias and the shift stay.
    assert (entries.weight.tolist(), entries.bias.tolist(), entries.weight_bits) == ([[19, -32]], [100], 6)
    (edit,) = got.edits
    assert edit == (
        "layer fc: weight bits 6 was set by hand (tuned: 8); its weights are rounded anew, 1 of them saturating"
    )


def test_the_output(tmp_path):
    got = edited(one_layer(tmp_path), entry("fc", "output")({"bits": 6, "fl": 3, "signed": False}))
    entries = got.layers["fc"]
    assert (entries.weight.tolist(), entries.bias.tolist(), shifts(got, "fc").tolist()) == ([[20, -44]], [100], [7])
    assert got.edits == (
        "layer fc: output bits 6 was set by hand (tuned: 8)",
        "layer fc: output fl 3 was set by hand (tuned: 5)",
        "layer fc: output signed false was set by hand (tuned: true)",
    )
    # (20 * 64 - 44 * 10 + 100) / 2**7 = 7.34; all of it negative: 0; and more than 6 bits without a sign: 63.
    images = np.array([[64, 10], [-64, 0], [127, -128]])[:, :, None, None]
    assert run_integers(got, images)["fc"].ravel().tolist() == [7, 0, 63]


def test_the_input(tmp_path):
    got = edited(one_layer(tmp_path), entry(None, "input", "fl")(1), entry(None, "input", "bits")(4))
    entries = got.layers["fc"]
    assert got.input == Format(bits=4, fl=1)
    assert (entries.weight.tolist(), entries.bias.tolist(), shifts(got, "fc").tolist()) == ([[20, -44]], [12], [2])
    assert got.edits == (
        "the input: bits 4 was set by hand (tuned: 8)",
        "the input: fl 1 was set by hand (tuned: 4)",
    )


# Random networks of every kind of layer


@pytest.mark.parametrize("seed", range(8))
def test_random_edits_give_what_rounding_by_hand_gives(tmp_path, seed):
    random = np.random.default_rng(seed)
    builder = every_kind(seed, vary=True)
    tuned = with_floats(builder.finish(), seed)
    save(tuned, tmp_path / "tuned")
    changes = [entry(None, "input", "fl")(int(tuned.input.fl + random.integers(-2, 3)))]
    for name in WEIGHTED:
        entries = tuned.layers[name]
        # Upwards, so that the accumulators still resolve the outputs, in some channels only or all alike.
        fl = entries.weight_fl + random.integers(0, 2, len(entries.bias)) * 3 + 4
        changes.append(entry(name, "weight", "fl")(fl.tolist() if random.integers(2) else int(fl.max())))
        if random.integers(2):
            changes.append(entry(name, "weight", "bits")(int(random.integers(2, 17))))
    for depth, layer in enumerate(tuned.network.layers):
        if layer.name in WITH_FORMAT:
            changes.append(entry(layer.name, "output", "bits")(int(random.integers(2, 17))))
            changes.append(entry(layer.name, "output", "signed")(bool(random.integers(2))))
            # Ever coarser, for the same reason.
            fl = tuned.output_format(layer.name).fl - 2 * depth - random.integers(0, 2)
            changes.append(entry(layer.name, "output", "fl")(int(fl)))
    after = edited(tmp_path / "tuned", *changes)
    assert after.edits and not tuned.edits
    assert_in_line(tuned, after)
    for layer in structure_of(tmp_path / "tuned")["layers"]:
        if "output" in layer:
            assert after.output_format(layer["name"]) == Format(**layer["output"]), "the choice in the file is kept"
    run_integers(after, quantize(np.ldexp(builder.images(2), -6), after.input))


def test_one_channels_fl(folder, tuned):
    fl = tuned.layers["conv3"].weight_fl + np.array([0, 1, 0, 0, 2, 0])
    after = edited(folder, entry("conv3", "weight", "fl")(fl.tolist()))
    assert_in_line(tuned, after)
    (edit,) = after.edits
    pattern = "layer conv3: weight fl of channels 1, 4 was set by hand; their weights are rounded anew"
    assert edit.startswith(pattern)
    assert np.array_equal(after.layers["conv3"].weight[2], tuned.layers["conv3"].weight[2])


def test_many_channels_fl_are_counted(tmp_path):
    tuned = with_floats(RandomNetwork(1, (1, 3, 3)).convolution(20, (2, 2)).finish())
    save(tuned, tmp_path / "tuned")
    fl = tuned.layers["conv1"].weight_fl + (np.arange(20) < 9)
    (edit,) = edited(tmp_path / "tuned", entry("conv1", "weight", "fl")(fl.tolist())).edits
    assert edit.startswith("layer conv1: weight fl of 9 of 20 channels was set by hand; their weights are")


def test_all_channels_fl(folder, tuned):
    fl = tuned.layers["fc13"].weight_fl
    after = edited(folder, entry("fc13", "weight", "fl")(int(fl.max()) + 1))
    tuned_fl = f"{fl.min()} to {fl.max()}"
    assert fl.min() < fl.max()
    expected = f"layer fc13: weight fl {fl.max() + 1} was set by hand (tuned: {tuned_fl}); its weights are rounded anew"
    assert after.edits[0].startswith(expected)


@pytest.mark.parametrize("name", WITH_FORMAT)
def test_an_outputs_fl_reaches_its_readers(folder, tuned, name):
    """Weights stay as tuned wherever no weights were edited; only biases and shifts follow."""
    fl = tuned.output_format(name).fl
    after = edited(folder, entry(name, "output", "fl")(fl - 1))
    assert after.edits == (f"layer {name}: output fl {fl - 1} was set by hand (tuned: {fl})",)
    assert after.output_format(name).fl == fl - 1
    assert_in_line(tuned, after)
    unchanged = [layer for layer in WEIGHTED if np.array_equal(after.layers[layer].weight, tuned.layers[layer].weight)]
    assert unchanged == list(WEIGHTED)


def test_the_same_choice_in_other_words_is_no_edit(tmp_path):
    folder = one_layer(tmp_path)
    before = load(folder)
    after = edited(folder, entry("fc", "weight", "fl")([6]))
    assert after.edits == ()
    assert_equal(before, after)


def test_saving_makes_an_edit_part_of_the_numbers(tmp_path):
    folder = one_layer(tmp_path)
    first = edited(folder, entry("fc", "weight", "fl")(7))
    save(first, folder)
    again = load(folder)
    assert again.edits == ()
    assert again.by_hand == first.edits and again.tuning == {"by_hand": list(first.edits)}
    assert_equal_fields(again.layers["fc"], first.layers["fc"])
    second = edited(folder, entry("fc", "output", "fl")(4))
    assert second.edits == ("layer fc: output fl 4 was set by hand (tuned: 5)",)
    save(second, folder)
    assert load(folder).by_hand == second.by_hand == first.edits + second.edits


def test_edits_keep_how_it_was_tuned(tmp_path, tuned):
    save(replace(tuned, tuning={"method": "max"}), tmp_path / "tuned")
    after = edited(tmp_path / "tuned", entry("fc14", "output", "bits")(7))
    assert after.tuning == {"method": "max"}
    save(after, tmp_path / "tuned")
    assert load(tmp_path / "tuned").tuning == {"method": "max", "by_hand": list(after.edits)}
    assert tuned.tuning == {}


def test_structure_is_no_choice(folder, tuned):
    """Other entries are checked as ever and have no tuned counterpart."""
    after = edited(folder, entry("conv1", "maximum")(0.5))
    assert (after.edits, after.network["conv1"].maximum) == ((), 0.5)


# Choices that are not possible


def range_of(sentence):
    low, high = re.search(r"from (-?\d+) to (-?\d+)", sentence).groups()
    return int(low), int(high)


@pytest.mark.parametrize("name", WITH_FORMAT)
def test_an_outputs_range_is_exact(folder, tuned, name):
    low, high = range_of(sentence(folder, entry(name, "output", "fl")(500)))
    start = f"layer {name}: output: fl is a whole number from {low} to {high}, the accumulator's fl being "
    for fl in (low - 1, high + 1):
        assert start in sentence(folder, entry(name, "output", "fl")(fl))
    assert high == int(np.min(accumulator_fl(tuned, tuned.network[name]))) + MAX_LEFT_SHIFT
    for fl in (low, high):
        rewrite(folder, entry(name, "output", "fl")(fl))
        try:
            load(folder)
        except UserError as error:
            assert f"layer {name}: " not in str(error), "later layers may not be able to follow"


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weights_range_is_exact(folder, tuned, name):
    channels = len(tuned.layers[name].bias)
    low, high = range_of(sentence(folder, entry(name, "weight", "fl")(500)))
    start = f"layer {name}: weight: fl is a whole number from {low} to {high} for an input of fl "
    for fl in (low - 1, high + 1):
        assert start in sentence(folder, entry(name, "weight", "fl")(fl))
    rewrite(folder, entry(name, "weight", "fl")(low))
    assert load(folder).layers[name].weight_fl.tolist() == [low] * channels
    assert "'s sums, that of the input" in sentence(folder, entry(name, "weight", "fl")(high)), (
        "the biases are too large there"
    )


def sentence(folder, change):
    rewrite(folder, change)
    return refused(folder, "network.json: layer ")


def test_the_largest_fl_for_a_bias(tmp_path):
    """100 has 7 bits and a sign, so that 40 of 48 are left; the shift may be 47: the output at fl 5 allows 52."""
    folder = one_layer(tmp_path)
    message = (
        "layer fc: weight: the fl of channel 0's sums, that of the input and of the weights together, is at most 50, "
        "where its bias still fits 48 bits, not 51"
    )
    rewrite(folder, entry("fc", "weight", "fl")(47))
    refused(folder, message)
    after = edited(folder, entry("fc", "weight", "fl")(46))
    assert after.layers["fc"].bias.tolist() == [100 << 40]


def test_a_readers_message_names_what_it_reads(folder, tuned):
    """The edited layer itself may be content where the one behind it is not."""
    rewrite(folder, entry("activation2", "output", "fl")(-20))
    refused(folder, r"layer conv3: output: fl is a whole number from -\d+ to -\d+, the accumulator's fl being -")


def test_a_coarse_channel_is_shifted_left(tmp_path):
    """0.3 and -0.7 at fl 0 are 0 and -1, sums lie at fl 4, and 100 / 1024 is 1.56 there: 2. An output at fl 11."""
    changes = [entry("fc", "weight", "fl")(0), entry("fc", "output", "fl")(11), entry("fc", "output", "bits")(12)]
    folder = one_layer(tmp_path)
    after = edited(folder, *changes)
    fc = after.layers["fc"]
    assert (fc.weight.tolist(), fc.bias.tolist(), shifts(after, "fc").tolist()) == ([[0, -1]], [2], [-MAX_LEFT_SHIFT])
    # (-y + 2) * 2**7 of the inputs y = 3 and -5.
    images = np.array([[7, 3], [7, -5]])[:, :, None, None]
    assert run_integers(load(folder), images)["fc"].ravel().tolist() == [-128, 896]
    rewrite(folder, entry("fc", "output", "fl")(12))
    refused(folder, "layer fc: weight: fl is a whole number from 1 to 55 for an input of fl 4 and an output of fl 12")


def test_a_residual_finer_than_the_products_sets_the_fl_of_the_sums(folder, tuned):
    source, residual = (tuned.output_format(name).fl for name in tuned.network["conv4"].inputs)
    # Products are shifted left by at most 47; the residual, 8 bits wide, by at most 40.
    low, high = residual - source - 47, residual - source + 48 - 8
    rewrite(folder, entry("conv4", "output", "fl")(residual - 5))
    rewrite(folder, entry("average5", "output", "fl")(residual - 5))
    for wrong in (low - 1, high + 1):
        rewrite(folder, entry("conv4", "weight", "fl")(wrong))
        refused(
            folder,
            f"layer conv4: weight: fl is a whole number from {low} to {high} for an input of fl {source}, "
            f"a second input of fl {residual} and an output of fl {residual - 5}, not {wrong}$",
        )
    rewrite(folder, entry("conv4", "weight", "fl")(residual - source - 3))
    after = load(folder)
    assert shifts(after, "conv4").tolist() == [5] * 6
    assert_in_line(tuned, after)


def test_a_residual_much_coarser_than_the_output_leaves_the_products_their_bounds(tmp_path):
    """An output of fl 7 wants sums of at least fl 0; the residual, at -3, may be shifted left by 40 bits."""
    builder = RandomNetwork(1, (2, 3, 3)).convolution(2, (1, 1))
    save(builder.convolution(2, (1, 1), source="conv1", residual="image").finish(), tmp_path / "tuned")
    rewrite(tmp_path / "tuned", entry(None, "input", "fl")(-3))
    rewrite(tmp_path / "tuned", entry("conv1", "weight", "fl")(18))
    rewrite(tmp_path / "tuned", entry("conv2", "weight", "fl")(-8))
    refused(
        tmp_path / "tuned", "layer conv2: weight: fl is a whole number from -7 to 30 for an input of fl 7, a second"
    )
    rewrite(tmp_path / "tuned", entry("conv2", "weight", "fl")(-7))
    assert shifts(load(tmp_path / "tuned"), "conv2").tolist() == [-7, -7]


def test_a_residual_too_coarse_or_too_fine_for_the_output(tmp_path):
    builder = RandomNetwork(1, (2, 3, 3)).convolution(2, (1, 1))
    save(builder.convolution(2, (1, 1), source="conv1", residual="image").finish(), tmp_path / "tuned")
    for input_fl in (-60, 60):
        rewrite(tmp_path / "tuned", entry(None, "input", "fl")(input_fl))
        rewrite(tmp_path / "tuned", entry("conv1", "weight", "fl")(15 - input_fl))
        rewrite(tmp_path / "tuned", entry("conv2", "weight", "fl")(99))
        refused(
            tmp_path / "tuned",
            f"layer conv2: weight: no fl is possible between an input of fl 7, a second input of fl {input_fl} "
            "and an output of fl 7$",
        )


def test_channels_too_far_apart(folder, tuned):
    fl = tuned.layers["fc13"].weight_fl.copy()
    fl[2] += 60
    rewrite(folder, entry("fc13", "weight", "fl")(fl.tolist()))
    refused(folder, rf"layer fc13: weight: fl differs by at most 54 from channel to channel, not by {np.ptp(fl)}$")


def test_inputs_too_far_apart_for_an_addition(folder, tuned):
    rewrite(folder, entry("average5", "output", "fl")(-36))
    refused(folder, r"layer add6: its sums need an accumulator of \d+ bits, more than 48$")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry(None, "input", "bits")(17), "network.json: input: bits is a whole number from 2 to 16, not 17$"),
        (entry(None, "input", "fl")(10**9), "input: fl is a whole number from -1024 to 1024, not 1000000000$"),
        (entry(None, "input", "signed")(1), "input: signed is true or false, not 1$"),
        (entry("conv1", "weight", "bits")(1), "layer conv1: weight: bits is a whole number from 2 to 16, not 1$"),
        (entry("conv1", "weight", "bits")(8.0), "weight: bits is a whole number from 2 to 16, not 8.0$"),
        (entry("conv1", "weight", "fl")([1, 2, 3]), "layer conv1: weight: fl has 6 numbers, not 3$"),
        (entry("conv1", "weight", "fl")([1] * 5 + ["4"]), "fl is a whole number from -1024 to 1024, not '4'$"),
        (entry("conv1", "weight", "fl")("x" * 99), r"not 'xxxxxxxxx.*\.\.\.$"),
        (entry("conv1", "weight", "signed")(False), "weight: there is no entry 'signed' here, only bits, fl$"),
        (entry("add6", "output", "signed")("no"), "layer add6: output: signed is true or false, not 'no'$"),
        (entry("add6", "output", "bits")(True), "layer add6: output: bits is a whole number from 2 to 16, not True$"),
        (entry("add6", "output", "fi")(3), "layer add6: output: there is no entry 'fi' here, only bits, fl, signed$"),
        (entry("add6", "output")(KeyError), "layer add6: output is missing$"),
        (entry("pool10", "output")({"bits": 8}), "layer pool10: there is no entry 'output' here, only "),
        (entry("add6", "weight")({"bits": 8}), "layer add6: there is no entry 'weight' here, only "),
    ],
)
def test_every_impossible_choice_is_named(folder, change, message):
    rewrite(folder, change)
    refused(folder, message)
