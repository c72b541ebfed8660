"""Tuned networks on disk: the round trip, and one sentence for every kind of damage."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from quantflow import tuned_file
from quantflow.errors import UserError
from quantflow.graph import Dense, HostOperator, MaxPool, Network
from quantflow.integer_engine import run
from quantflow.quantized import QuantizedNetwork
from quantflow.tune import tune
from quantflow.tuned_file import load, save
from tests.quantflow.test_tuner import images, small_network


@pytest.fixture(scope="module")
def tuned():
    return tune(small_network(), images(), activation_bits=6, weight_bits=5)


@pytest.fixture
def folder(tuned, tmp_path):
    save(tuned, tmp_path / "tuned")
    return tmp_path / "tuned"


def assert_equal(a, b):
    assert (a.network.name, a.network.input_name) == (b.network.name, b.network.input_name)
    assert (a.input, a.network.input_shape) == (b.input, b.network.input_shape)
    assert a.layers.keys() == b.layers.keys()
    for x, y in zip(a.network.layers, b.network.layers, strict=True):
        assert type(x) is type(y)
        for name in ("name", "inputs", "input_shape", "output_shape", "window", "relu"):
            assert getattr(x, name, None) == getattr(y, name, None)
        for name in ("weight", "bias"):
            assert np.array_equal(getattr(x, name, 0), getattr(y, name, 0))
    for name, x in a.layers.items():
        y = b.layers[name]
        assert (x.name, x.weight_bits, x.output) == (y.name, y.weight_bits, y.output)
        for field in ("weight", "weight_fl", "bias", "shift"):
            assert getattr(x, field).dtype == getattr(y, field).dtype
            assert np.array_equal(getattr(x, field), getattr(y, field))


def rewrite(folder, change):
    """Apply `change` to the parsed network.json."""
    path = folder / "network.json"
    structure = json.loads(path.read_text())
    change(structure)
    path.write_text(json.dumps(structure))


def rewrite_tensors(folder, **arrays):
    """Replace arrays (None: remove) and make the digest right again."""
    with np.load(folder / "tensors.npz") as stored:
        tensors = {**stored, **arrays}
    np.savez(folder / "tensors.npz", **{name: array for name, array in tensors.items() if array is not None})
    rewrite(folder, lambda structure: structure.update(tensors_sha256=tuned_file._digest(folder / "tensors.npz")))


def refused(folder, message):
    with pytest.raises(UserError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


# Round trip


@pytest.mark.parametrize("bits", [(8, 8), (2, 2), (16, 16)])
def test_round_trip(tmp_path, bits):
    tuned = tune(small_network(), images(), activation_bits=bits[0], weight_bits=bits[1])
    save(tuned, tmp_path / "tuned")
    loaded = load(tmp_path / "tuned")
    assert_equal(tuned, loaded)
    before, after = run(tuned, images(5)), run(loaded, images(5))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_round_trip_with_a_fractional_length_for_each_channel(tuned, tmp_path):
    entry = tuned.layers["fc"]
    raised = np.array([1, 0, 0], np.int32)
    entry = type(entry)(**{**vars(entry), "weight_fl": entry.weight_fl + raised, "shift": entry.shift + raised})
    changed = QuantizedNetwork(network=tuned.network, input=tuned.input, layers={**tuned.layers, "fc": entry})
    save(changed, tmp_path / "tuned")
    assert_equal(changed, load(tmp_path / "tuned"))


def test_round_trip_of_names_that_json_must_escape(tmp_path):
    layer = MaxPool(name='a [\n "b" {', inputs=("ü]",), input_shape=(1, 2, 2), output_shape=(1, 1, 1), window=None)
    layer = MaxPool(**{**vars(layer), "window": small_network().layers[1].window})
    network = Network(name="{}", input_name="ü]", input_shape=(1, 2, 2), layers=(layer,))
    tuned = QuantizedNetwork(network=network, input=tune(small_network(), images(1)).input, layers={})
    save(tuned, tmp_path / "tuned")
    assert_equal(tuned, load(tmp_path / "tuned"))


def test_the_same_network_gives_the_same_bytes(tuned, folder, tmp_path):
    save(tuned, tmp_path / "again")
    for name in ("network.json", "tensors.npz"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_structure_is_readable(folder):
    text = (folder / "network.json").read_text()
    assert '"padding": [1, 1, 1, 1]' in text
    assert '"weight": {\n        "bits": 5,\n        "fl": ' in text
    assert max(map(len, text.splitlines())) < 100


# Writing


def test_makes_parents_and_leaves_nothing_else(tuned, tmp_path):
    save(tuned, tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b"]
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["network.json", "tensors.npz"]


def test_replaces_an_earlier_tuned_network_and_keeps_other_files(tuned, folder):
    (folder / "notes.txt").write_text("mine")
    other = tune(small_network(seed=5), images())
    save(other, folder)
    assert_equal(other, load(folder))
    assert (folder / "notes.txt").read_text() == "mine"


def test_fills_an_empty_folder(tuned, tmp_path):
    save(tuned, str(tmp_path))
    assert_equal(tuned, load(str(tmp_path)))


@pytest.mark.parametrize("name", ["network.json", "tensors.npz"])
@pytest.mark.parametrize("content", ["{}", "something else"])
def test_keeps_files_that_are_not_of_a_tuned_network(tuned, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"holds a file {name} that is not of a tuned network: choose another folder$"):
        save(tuned, tmp_path)
    assert (tmp_path / name).read_text() == content


def test_refuses_a_file_in_the_folders_place(tuned, tmp_path):
    (tmp_path / "tuned").write_text("")
    with pytest.raises(UserError, match="tuned is a file, where a folder is to be written$"):
        save(tuned, tmp_path / "tuned")
    with pytest.raises(UserError, match="cannot be written: "):
        save(tuned, tmp_path / "tuned" / "inner")


def test_an_interrupted_save_leaves_the_earlier_network_whole(tuned, folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="tuned cannot be written: No space left on device$"):
        save(tune(small_network(seed=5), images()), folder)
    assert_equal(tuned, load(folder))
    assert [path.name for path in folder.parent.iterdir()] == ["tuned"]


def test_an_interruption_between_the_two_files_is_noticed(folder, monkeypatch):
    replace = os.replace

    def interrupted(source, target):
        if str(target).endswith("network.json"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(tune(small_network(seed=5), images()), folder)
    refused(folder, "tensors.npz is not the file that network.json beside it was written with$")


# Damage


def test_missing(folder, tmp_path):
    refused(tmp_path / "none", "none is not a tuned network: it has no network.json$")
    refused(folder / "network.json", "is not a tuned network: it has no network.json$")
    (folder / "tensors.npz").unlink()
    refused(folder, "tensors.npz does not exist$")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff", '{"a": ' + "9" * 5000 + "}"])
def test_not_json(folder, text):
    (folder / "network.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(folder, "network.json is not valid JSON$")


@pytest.mark.parametrize("text", ["[]", "3", '{"format": "another"}'])
def test_not_a_tuned_network(folder, text):
    (folder / "network.json").write_text(text)
    refused(folder, "network.json does not describe a tuned network$")


def test_another_version(folder):
    rewrite(folder, lambda structure: structure.update(version=2))
    refused(folder, "network.json has version 2, where this quantflow reads version 1$")


def test_truncated_tensors(folder):
    content = (folder / "tensors.npz").read_bytes()
    (folder / "tensors.npz").write_bytes(content[: len(content) // 2])
    refused(folder, "tensors.npz is a damaged npz file$")


def test_tensors_of_another_run(folder, tmp_path):
    save(tune(small_network(seed=5), images()), tmp_path / "other")
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


def entry(index, *keys):
    """A change of one entry of network.json: entry(0, "output", "fl")(value) is such a change."""

    def with_value(value):
        def change(structure):
            target = structure if index is None else structure["layers"][index]
            for key in keys[:-1]:
                target = target[key]
            if value is KeyError:
                del target[keys[-1]]
            else:
                target[keys[-1]] = value

        return change

    return with_value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry(None, "layers")([]), "network.json: layers is empty"),
        (entry(None, "layers")([3]), "network.json: layers is a list of objects"),
        (entry(None, "layers")({}), "network.json: layers is a list, not {}"),
        (entry(None, "version")(True), "version is a whole number from .*, not True"),
        (entry(None, "version")(1.0), "version is a whole number from .*, not 1.0"),
        (entry(None, "name")(KeyError), "network.json: name is missing"),
        (entry(None, "tensors_sha256")(None), "tensors_sha256 is a text, not None"),
        (entry(None, "input", "bits")(17), "network.json: input: bits is a whole number from 2 to 16, not 17"),
        (entry(None, "input", "fl")(10**9), "input: fl is a whole number from -1024 to 1024, not 1000000000"),
        (entry(None, "input", "shape")([2, 8]), "input: shape has 3 numbers, not 2"),
        (entry(None, "input", "shape")([2, 8, 7]), r"layers\[0\]: input_shape is \[2, 8, 6\], where image gives"),
        (entry(0, "kind")("softmax"), r"layers\[0\]: kind is one of convolution, dense, max_pool, not 'softmax'"),
        (entry(0, "kind")("max_pool"), r"output_shape is \[2, 8, 6\] for this input, not \[4, 8, 6\]"),
        (entry(0, "name")("image"), "the name 'image' is taken by an earlier map"),
        (entry(1, "inputs")(["fc"]), r"layers\[1\]: inputs is the name of one earlier map, not \['fc'\]"),
        (entry(1, "inputs")(["image", "conv1"]), "inputs is the name of one earlier map"),
        (entry(1, "inputs")([1]), "inputs is a list of names"),
        (entry(1, "inputs")([]), "inputs is a list of names"),
        (entry(2, "input_shape")([4, 4, 4]), r"input_shape is \[4, 4, 4\], where pool1 gives \[4, 4, 3\]"),
        (entry(2, "output_shape")([5, 3, 3]), r"output_shape is \[5, 3, 2\] for this input, not \[5, 3, 3\]"),
        (entry(0, "window", "stride")([0, 1]), r"layers\[0\]: window: stride is a whole number from 1 to"),
        (entry(0, "window", "padding")([1, 1, 1]), "window: padding has 4 numbers, not 3"),
        (entry(0, "window", "kernel")([90, 3]), r"a kernel of \[90, 3\] does not fit in a map of 8x6"),
        (
            entry(1, "window", "padding")([0, 2, 0, 0]),
            r"padding is smaller than the kernel \[2, 2\], not \[0, 2, 0, 0\]",
        ),
        (entry(0, "window")(3), r"layers\[0\]: window is an object, not 3"),
        (entry(0, "relu")(1), r"layers\[0\]: relu is true or false, not 1"),
        (entry(0, "weight", "bits")(4), "0.weight in tensors.npz holds values of 5 bits, more than 4"),
        (entry(0, "weight", "fl")([1, 2, 3]), "weight: fl has 4 numbers, not 3"),
        (entry(0, "weight", "fl")([1, 2, 3, "4"]), "fl is a whole number from -1024 to 1024, not '4'"),
        (entry(0, "weight", "fl")("x" * 99), r"not 'xxxxxxxxx.*\.\.\.$"),
        (entry(0, "output", "fl")(40), r"layers\[0\]: the fractional lengths lead to a shift of -\d+, outside 0 to 47"),
        (entry(0, "output", "fl")(-90), r"the fractional lengths lead to a shift of \d+, outside 0 to 47"),
    ],
)
def test_every_contradiction_is_named(folder, change, message):
    rewrite(folder, change)
    refused(folder, message)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("0.weight", None, r"layers\[0\]: tensors.npz has no array 0.weight$"),
        ("0.weight", np.zeros((4, 2, 3, 2), np.int8), r"has shape \[4, 2, 3, 2\], not \[4, 2, 3, 3\]$"),
        ("0.weight", np.zeros((4, 2, 3, 3)), "0.weight in tensors.npz holds float64 values, not integers$"),
        ("0.weight", np.full((4, 2, 3, 3), 16, np.int8), "holds values of 6 bits, more than 5$"),
        ("0.bias", np.zeros(3, np.int64), r"0.bias in tensors.npz has shape \[3\], not \[4\]$"),
        ("0.bias", np.full(4, 1 << 47), "0.bias in tensors.npz holds values of 49 bits, more than 48$"),
        ("0.bias", np.full(4, (1 << 47) - 1), "the weights need an accumulator of 49 bits, more than 48$"),
        ("3.float_weight", np.zeros((3, 31), np.float32), r"has shape \[3, 31\], not \[3, 30\]$"),
        ("3.float_weight", np.full((3, 30), np.nan, np.float32), "is not finite float32 throughout$"),
        ("3.float_bias", np.zeros(3), "3.float_bias in tensors.npz is not finite float32 throughout$"),
    ],
)
def test_every_wrong_tensor_is_named(folder, name, array, message):
    rewrite_tensors(folder, **{name: array})
    refused(folder, message)


def test_a_dense_layer_has_one_output_pixel(folder):
    rewrite(folder, entry(3, "output_shape")([3, 1, 2]))
    refused(folder, r"layers\[3\]: output_shape is \[3, 1, 1\] for this input, not \[3, 1, 2\]$")
    assert isinstance(small_network().layers[3], Dense)


def test_loading_does_not_need_the_rest(folder):
    """A reader of tuned networks needs neither the gateware nor the importer."""
    code = f"import sys; from quantflow.tuned_file import load; load({str(folder)!r}); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"amaranth", "onnx", "quantflow.tune"} & set(modules)


def test_what_is_left_to_the_host_is_kept(tuned, tmp_path):
    host = (HostOperator(operator="Softmax", name="classes", axis=1),)
    network = replace(tuned.network, host=host)
    save(replace(tuned, network=network), tmp_path / "tuned")
    assert load(tmp_path / "tuned").network.host == host
    rewrite(tmp_path / "tuned", lambda structure: structure["host"][0].update(axis=4))
    refused(tmp_path / "tuned", r"host\[0\]: axis is a whole number from 0 to 3, not 4")
