"""One sentence for every kind of damage to a tuned network's file, whatever is in it."""

import json
import os
import pickle
from functools import reduce
from operator import getitem

import numpy as np
import pytest

from quantflow.errors import UserError
from quantflow.tuned_file import load, save
from quantflow.tuned_file.record import MAX_NUMBER
from tests.quantflow.networks import RandomNetwork, every_kind, with_floats
from tests.quantflow.tuned_folders import entry, refused, rewrite, rewrite_tensors


@pytest.fixture(scope="module")
def tuned():
    return with_floats(every_kind(1, weight_bits=5).finish())


@pytest.fixture
def folder(tuned, tmp_path):
    save(tuned, tmp_path / "tuned")
    return tmp_path / "tuned"


# Files


def test_missing(folder, tmp_path):
    refused(tmp_path / "none", "none is not a tuned network: it has no network.json$")
    refused(folder / "network.json", "is not a tuned network: it has no network.json$")
    (folder / "tensors.npz").unlink()
    refused(folder, "tensors.npz does not exist$")


def test_unreadable(folder):
    (folder / "network.json").unlink()
    (folder / "network.json").mkdir()
    refused(folder, "network.json cannot be read: Is a directory$")


DIGITS = '{"a": ' + "9" * 5000 + "}"
SURROGATE = '{"name": "\\ud800"}'


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, "\udcff", DIGITS, SURROGATE, "{'a': 1}"])
def test_not_json(folder, text):
    (folder / "network.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(folder, "network.json is not valid JSON$")


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have(folder, name):
    (folder / "network.json").write_text(f'{{"version": {name}}}')
    refused(folder, f"network.json holds {name}, which is no number in JSON$")


def test_an_entry_given_twice(folder):
    text = (folder / "network.json").read_text()
    (folder / "network.json").write_text(text.replace('"groups": 2', '"groups": 2, "groups": 1'))
    refused(folder, "network.json has the entry 'groups' twice in one object$")


def test_deep_nesting(folder):
    deep = 0
    for _ in range(21):
        deep = [deep]
    rewrite(folder, entry(None, "tuning")({"deep": deep}))
    assert load(folder).tuning == {"deep": deep}
    save(load(folder), folder)
    rewrite(folder, entry(None, "tuning")({"deep": [[deep]]}))
    refused(folder, "network.json has objects or lists more than 24 deep in each other$")


@pytest.mark.parametrize("text", ["[]", "3", '{"format": "another"}'])
def test_not_a_tuned_network(folder, text):
    (folder / "network.json").write_text(text)
    refused(folder, "network.json does not describe a tuned network$")


@pytest.mark.parametrize("version", [1, 3])
def test_another_version(folder, version):
    rewrite(folder, entry(None, "version")(version))
    refused(folder, f"has version {version}, where this quantflow reads version 2: tune the model again$")


def test_truncated_tensors(folder):
    content = (folder / "tensors.npz").read_bytes()
    (folder / "tensors.npz").write_bytes(content[: len(content) // 2])
    refused(folder, "tensors.npz is a damaged npz file$")


def test_tensors_of_another_run(folder, tmp_path):
    save(with_floats(every_kind(2).finish()), tmp_path / "other")
    os.replace(tmp_path / "other" / "tensors.npz", folder / "tensors.npz")
    refused(folder, "tensors.npz is not the file that network.json beside it was written with$")


class Trap:
    def __reduce__(self):
        return (os.abort, ())


def test_no_code_is_run(folder):
    np.savez(folder / "tensors.npz", **{"0.weight": np.array([Trap()], dtype=object)})
    refused(folder, "^0.weight in .*tensors.npz holds Python objects, where numbers are expected$")
    (folder / "tensors.npz").write_bytes(pickle.dumps(Trap()))
    refused(folder, "tensors.npz is not an npz file")


# Entries


def window(name, key):
    return entry(name, "window", key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # The whole file
        (entry(None, "layers")([]), "network.json: layers is empty"),
        (entry(None, "layers")([3]), "network.json: layers is a list of objects"),
        (entry(None, "layers")({}), "network.json: layers is a list, not {}"),
        (entry(None, "layers")([{}]), r"network.json: layers\[0\]: name is missing"),
        (entry(None, "version")(True), "version is a whole number from .*, not True"),
        (entry(None, "version")(2.0), "version is a whole number from .*, not 2.0"),
        (entry(None, "name")(KeyError), "network.json: name is missing"),
        (entry(None, "tensors_sha256")(None), "tensors_sha256 is a text, not None"),
        (entry(None, "tuning")(KeyError), "network.json: tuning is missing"),
        (entry(None, "tuning")("paper"), "network.json: tuning is an object, not 'paper'"),
        (entry(None, "tuning")({"by_hand": "x"}), "network.json: tuning: by_hand is a list of texts, not 'x'"),
        (entry(None, "tuning")({"by_hand": [1]}), r"network.json: tuning: by_hand is a list of texts, not \[1\]"),
        (entry(None, "host")([{"operator": "Softmax", "name": "s", "axis": 1, "x": 2}]), r"host\[0\]: there is no ent"),
        (entry(None, "extra")(1), "network.json: there is no entry 'extra' here, only format, host, input, layers"),
        (entry(None, "input", "extra")(1), "input: there is no entry 'extra' here, only bits, fl, name, shape, signed"),
        (entry(None, "input", "shape")([2, 8]), "input: shape has 3 numbers, not 2"),
        (entry(None, "input", "shape")([2, 8, 7]), r"conv1: input_shape is \[4, 9, 8\], where image gives \[2, 8, 7\]"),
        # Every layer
        (entry("conv1", "kind")("softmax"), "layer conv1: kind is one of convolution, dense, .*, not 'softmax'"),
        (entry("conv1", "kind")("dense"), r"output_shape is \[6, 1, 1\] for this input, not \[6, 5, 7\]"),
        (entry("conv1", "name")("image"), r"layers\[0\]: the name 'image' is taken by an earlier map"),
        (entry("conv3", "name")("conv1"), r"layers\[2\]: the name 'conv1' is taken by an earlier map"),
        (entry("conv1", "name")("a\nb"), r"layer activation2: inputs names one earlier map, not \['conv1'\]"),
        (entry("conv3", "inputs")(["fc13"]), r"conv3: inputs names one earlier map, or two, not \['fc13'\]"),
        (entry("conv3", "inputs")(["conv3"]), r"conv3: inputs names one earlier map, or two, not \['conv3'\]"),
        (entry("pool10", "inputs")(["pad9", "pad9"]), r"inputs names one earlier map, not \['pad9', 'pad9'\]"),
        (entry("pool10", "inputs")([1]), "inputs is a list of names"),
        (entry("pool10", "inputs")([]), "inputs is a list of names"),
        (entry("pool10", "input_shape")([6, 6, 6]), r"input_shape is \[6, 6, 6\], where pad9 gives \[6, 6, 5\]"),
        (entry("fc14", "output_shape")([4, 1, 1]), r"13.float_weight in tensors.npz has shape \[3, 7\], not \[4, 7\]"),
        (entry("fc14", "output_shape")([3, 1, 2]), r"output_shape is \[3, 1, 1\] for this input, not \[3, 1, 2\]"),
        (entry("fc14", "output_shape")([0, 1, 1]), r"output_shape is a whole number from 1 to \d+, not 0"),
        (entry("fc13", "relu")(1), "layer fc13: relu is true or false, not 1"),
        (entry("fc13", "relu")(False), "layer fc13: maximum is given only where relu is true"),
        (entry("fc13", "maximum")("6"), "fc13: maximum is a number within the range of float32, not '6'"),
        (entry("fc13", "maximum")(True), "fc13: maximum is a number within the range of float32, not True"),
        (entry("fc13", "maximum")(10**400), r"maximum is a number within .*, not 1000000000.*\.\.\."),
        (entry("fc13", "maximum")(1e39), "maximum is a number within the range of float32, not 1e"),
        (entry("fc13", "maximum")(0), "fc13: maximum is above 0, not 0"),
        (entry("activation2", "maximum")(-0.5), "activation2: maximum is above 0, not -0.5"),
        (entry("fc13", "maximum")([]), "layer fc13: maximum is empty"),
        (entry("fc13", "maximum")([1, 2]), "layer fc13: maximum is one number or 7, not 2"),
        (entry("fc13", "maximum")([1] * 6 + [0]), "layer fc13: maximum is above 0, not 0"),
        (entry("fc13", "maximum")([1] * 6 + [1e-60]), "layer fc13: maximum is above 0, not 0"),
        (entry("fc13", "maximum")([1] * 6 + ["x"]), "maximum is a number within the range of float32, not 'x'"),
        (entry("fc13", "window")({"kernel": [1, 1]}), "layer fc13: there is no entry 'window' here, only inp"),
        # Windows
        (entry("conv1", "window")(3), "layer conv1: window is an object, not 3"),
        (window("conv1", "stride")([0, 1]), "layer conv1: window: stride is a whole number from 1 to"),
        (window("conv1", "stride")([4, 1]), r"conv1: output_shape is \[6, 3, 7\] for this input, not \[6, 5, 7\]"),
        (window("conv1", "padding")([1, 1, 1]), "window: padding has 4 numbers, not 3"),
        (window("conv1", "padding")([0, 0, 0, -1]), "window: padding is a whole number from 0 to"),
        (window("conv1", "padding")([1 << 24] * 4), "conv1: window: padding makes a map of more than 268435456 values"),
        (window("conv1", "dilation")([0, 1]), "window: dilation is a whole number from 1 to"),
        (window("conv1", "dilatation")([1, 1]), "window: there is no entry 'dilatation' here, only dilation, ker"),
        (window("conv1", "kernel")([90, 3]), r"window: a kernel of \[90, 3\] does not fit in a map of 9x8"),
        (window("pool10", "padding")([3, 0, 0, 1]), r"padding is smaller than the kernel \[3, 2\], not \[3, 0, 0, 1\]"),
        (window("average5", "padding")([1, 3, 1, 1]), r"padding is smaller than the kernel \[3, 3\], not"),
        (entry("average5", "count_include_pad")(0), "count_include_pad is true or false, not 0"),
        # Each kind
        (entry("conv1", "groups")(0), "conv1: groups is a whole number from 1 to"),
        (entry("conv1", "groups")(3), "conv1: groups divides 4 input and 6 output channels, which 3 does not"),
        (entry("conv1", "groups")(1), r"0.float_weight in tensors.npz has shape \[6, 2, 3, 2\], not \[6, 4, 3, 2\]"),
        (entry("conv4", "inputs")(["conv3", "image"]), r"the map it adds has the output's shape \[6, 5, 7\], not \[4"),
        (entry("add6", "inputs")(["average5"]), r"add6: inputs names two earlier maps, not \['average5'\]"),
        (
            entry("add6", "inputs")(["average5", "image"]),
            r"its inputs are of one shape, not \[6, 5, 7\] and \[4, 9, 8\]",
        ),
        (entry("concat7", "inputs")(["add6", "none"]), r"inputs names earlier maps, not \['add6', 'none'\]"),
        (
            entry("concat7", "inputs")(["add6"]),
            r"concat7: output_shape is \[6, 5, 7\] for this input, not \[12, 5, 7\]",
        ),
        (
            entry("concat7", "inputs")(["add6", "image"]),
            r"differ in their channels only, not as \[6, 5, 7\] and \[4, 9",
        ),
        (entry("slice8", "start")([4, 0, 1]), r"start, step and output_shape reach outside a map of \[12, 5, 7\]"),
        (entry("slice8", "step")([2, 0, 2]), "slice8: step is a whole number from 1 to"),
        (entry("slice8", "start")(KeyError), "slice8: start is missing"),
        (entry("pad9", "after")([1, 0, 3]), r"output_shape is \[6, 6, 6\] for this input, not \[6, 6, 5\]"),
        (entry("pad9", "before")([0, 1, -1]), "pad9: before is a whole number from 0 to"),
        (entry("pad9", "value")(None), "pad9: value is a number within the range of float32, not None"),
        (
            entry("reshape12", "output_shape")([3, 12, 2]),
            r"has as many values as \[6, 3, 2\], which \[3, 12, 2\] has not",
        ),
        (
            entry("activation2", "output_shape")([6, 5, 8]),
            r"output_shape is \[6, 5, 7\] for this input, not \[6, 5, 8\]",
        ),
    ],
)
def test_every_contradiction_is_named(folder, change, message):
    rewrite(folder, entry(None, "host")([{"operator": "Softmax", "name": "s", "axis": 1}]))
    rewrite(folder, change)
    refused(folder, message)


def test_the_least_and_the_largest_number(folder):
    for value in (6, 6.0, MAX_NUMBER):
        rewrite(folder, entry("fc13", "maximum")(value))
        got = load(folder).network["fc13"].maximum
        assert got == value and type(got) is float
    rewrite(folder, entry("fc13", "maximum")(None))
    assert load(folder).network["fc13"].maximum is None


def test_maps_larger_than_any_machine(tmp_path):
    save(RandomNetwork(1, (1, 2, 2)).pad((0, 0, 0), (0, 1, 1)).finish(), tmp_path / "tuned")
    rewrite(tmp_path / "tuned", entry("pad1", "after")([0, 1 << 20, 1 << 20]))
    rewrite(tmp_path / "tuned", entry("pad1", "output_shape")([1, (1 << 20) + 2, (1 << 20) + 2]))
    refused(tmp_path / "tuned", r"layer pad1: output_shape makes a map of \d+ values, more than 268435456$")


@pytest.mark.parametrize("build", ["pool", "average_pool"])
def test_a_pooling_window_over_padding_alone(tmp_path, build):
    """Taps two apart around a map of one pixel: the first is before it, the second behind it."""
    builder = RandomNetwork(1, (1, 1, 3))
    getattr(builder, build)((2, 1), (1, 1), (1, 0, 1, 0))
    tuned = builder.finish()
    save(tuned, tmp_path / "tuned")
    assert load(tmp_path / "tuned").network.layers[0].window == tuned.network.layers[0].window
    name = tuned.network.layers[0].name
    rewrite(tmp_path / "tuned", entry(name, "window", "dilation")([2, 1]))
    rewrite(tmp_path / "tuned", entry(name, "output_shape")([1, 1, 3]))
    refused(
        tmp_path / "tuned", f"{name}: window: it lies over padding alone somewhere, where there is nothing to pool$"
    )


def test_windows_over_padding_alone_are_found_where_taps_are_counted(tmp_path):
    """Against counting the taps of every window, over small windows of all kinds."""
    random = np.random.default_rng(4)
    found = 0
    save(RandomNetwork(1, (1, 5, 1)).pool((1, 1)).finish(), tmp_path / "tuned")
    for _ in range(150):
        size, taps, step, stride = (int(random.integers(1, 6)) for _ in range(4))
        extent = (taps - 1) * step + 1
        before, after = (int(random.integers(0, extent)) for _ in range(2))
        count = (size + before + after - extent) // stride + 1
        if count < 1:
            continue
        starts = [index * stride - before for index in range(count)]
        lost = any(not any(0 <= start + tap * step < size for tap in range(taps)) for start in starts)
        found += lost
        rewrite(tmp_path / "tuned", entry(None, "input", "shape")([1, size, 1]))
        geometry = {"kernel": [taps, 1], "stride": [stride, 1], "dilation": [step, 1], "padding": [before, 0, after, 0]}
        for key, value in (("window", geometry), ("input_shape", [1, size, 1]), ("output_shape", [1, count, 1])):
            rewrite(tmp_path / "tuned", entry("pool1", key)(value))
        if lost:
            refused(tmp_path / "tuned", "lies over padding alone")
        else:
            load(tmp_path / "tuned")
    assert 10 < found < 140


def test_long_and_odd_names_stay_in_one_sentence(folder):
    name = "layer\n" * 50
    rewrite(folder, entry("fc14", "name")(name))
    assert load(folder).network.layers[-1].name == name, "odd, but a name"
    rewrite(folder, lambda structure: structure["layers"][-1]["output"].update(fl=100))
    assert len(refused(folder, r"layer 'layer\\nlayer.*\.\.\.: output: fl is").partition("network.json")[2]) < 250


# Arrays


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("0.weight", None, r"layer conv1: tensors.npz has no array 0.weight$"),
        ("0.weight", np.zeros((6, 2, 3, 3), np.int8), r"has shape \[6, 2, 3, 3\], not \[6, 2, 3, 2\]$"),
        ("0.weight", np.zeros((6, 2, 3, 2)), "0.weight in tensors.npz holds float64 values, not integers$"),
        ("0.weight", np.zeros((6, 2, 3, 2), bool), "0.weight in tensors.npz holds bool values, not integers$"),
        ("0.weight", np.full((6, 2, 3, 2), 16, np.int8), "0.weight in tensors.npz holds 16, outside -16 to 15$"),
        ("0.weight_bits", np.int32(17), "0.weight_bits in tensors.npz holds 17, outside 2 to 16$"),
        ("0.weight_bits", np.array([5]), r"0.weight_bits in tensors.npz has shape \[1\], not \[\]$"),
        ("0.weight_fl", np.full(6, 1025), "0.weight_fl in tensors.npz holds 1025, outside -1024 to 1024$"),
        ("0.bias", np.zeros(3, np.int64), r"0.bias in tensors.npz has shape \[3\], not \[6\]$"),
        ("0.bias", np.full(6, 1 << 47), "0.bias in tensors.npz holds 140737488355328, outside -140737488355328 to"),
        ("0.bias", np.full(6, 1 << 63, np.uint64), "0.bias in tensors.npz holds 9223372036854775808, outside"),
        ("0.bias", np.full(6, (1 << 47) - 1), "conv1: its sums need an accumulator of 49 bits, more than 48$"),
        ("0.bias_fl", None, "tensors.npz has no array 0.bias_fl$"),
        ("0.bias_fl", np.full(6, -2049), "0.bias_fl in tensors.npz holds -2049, outside -2048 to 2048$"),
        ("0.output", np.zeros(2, np.int32), r"0.output in tensors.npz has shape \[2\], not \[3\]$"),
        ("5.output", None, "layer add6: tensors.npz has no array 5.output$"),
        ("input", None, "network.json: input: tensors.npz has no array input$"),
        ("13.float_weight", np.zeros((3, 31), np.float32), r"has shape \[3, 31\], not \[3, 7\]$"),
        ("13.float_weight", np.full((3, 7), np.nan, np.float32), "is not finite float32 throughout$"),
        ("13.float_bias", np.zeros(3), "13.float_bias in tensors.npz is not finite float32 throughout$"),
        ("1.slope", None, "layer activation2: tensors.npz has no array 1.slope$"),
        ("1.slope", np.zeros(5, np.float32), r"1.slope in tensors.npz has shape \[5\], not \[6\]$"),
        ("1.slope", np.full(6, np.inf, np.float32), "1.slope in tensors.npz is not finite float32 throughout$"),
    ],
)
def test_every_wrong_array_is_named(folder, name, array, message):
    rewrite_tensors(folder, {name: array})
    refused(folder, message)


def test_a_bias_of_the_least_integer(folder, tuned):
    """-2**47 is the last that 48 bits hold; with the products the sums would not fit, without them they do."""
    tensors = {"0.bias": np.full(6, -(1 << 47)), "0.weight": np.zeros((6, 2, 3, 2), np.int8)}
    rewrite_tensors(folder, tensors)
    assert load(folder).layers["conv1"].bias.tolist() == [-(1 << 47)] * 6


HOSTILE = [None, True, -1, 0, 10**30, 1e308, "", "image", [], [[]], {}, {"bits": {}}, [1] * 3, -(10**5)]


def places(value, path=()):
    """The path of every value inside a parsed JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def test_hostile_values_everywhere(folder):
    """Any value in place of any entry: a network, or one sentence."""
    random, text = np.random.default_rng(0), (folder / "network.json").read_text()
    for path in places(json.loads(text)):
        structure = json.loads(text)
        target = reduce(getitem, path[:-1], structure)
        target[path[-1]] = HOSTILE[random.integers(len(HOSTILE))]
        (folder / "network.json").write_text(json.dumps(structure))
        try:
            load(folder)
        except UserError as error:
            assert "\n" not in str(error)
