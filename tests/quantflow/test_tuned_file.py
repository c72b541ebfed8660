"""Tuned networks on disk: the round trip, the readable form, and what writing leaves alone."""

import dataclasses
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from quantflow import graph
from quantflow.arithmetic import Format
from quantflow.errors import UserError
from quantflow.graph import HostOperator, Layer, Network
from quantflow.integer_engine import run, run_integers
from quantflow.quantized import MOVING, REQUANTIZED, WEIGHTED, QuantizedNetwork
from quantflow.tuned_file import load, save
from quantflow.tuned_file.layers import KINDS
from quantflow.tuner.tune import tune
from tests.data import REPOSITORY
from tests.quantflow.networks import RandomNetwork, every_kind, with_floats
from tests.quantflow.tuned_folders import assert_equal, refused, rewrite, structure_of


def small(seed=0, **options):
    builder = RandomNetwork(seed, (2, 8, 6), **options).convolution(4, (3, 3), padding=(1, 1, 1, 1))
    return with_floats(builder.pool((2, 2)).dense(3, relu=False).finish())


@pytest.fixture
def tuned():
    return small()


@pytest.fixture
def folder(tuned, tmp_path):
    save(tuned, tmp_path / "tuned")
    return tmp_path / "tuned"


# Round trip


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("options", [{}, {"vary": True}, {"vary": True, "activation_bits": 16, "weight_bits": 3}])
def test_every_kind_comes_back_and_computes_the_same(tmp_path, seed, options):
    builder = every_kind(seed, **options)
    tuned = with_floats(builder.finish(), seed)
    save(tuned, tmp_path / "tuned")
    loaded = load(tmp_path / "tuned")
    assert loaded.edits == ()
    assert_equal(tuned, loaded)
    images = builder.images(2)
    expected, got = run_integers(tuned, images, keep=True), run_integers(loaded, images, keep=True)
    assert expected.keys() == got.keys()
    assert all(np.array_equal(expected[name], got[name]) for name in expected)


def test_the_tests_network_has_every_kind_and_entry():
    layers = every_kind().finish().network.layers
    assert {type(layer) for layer in layers} == {kind.type for kind in KINDS.values()}
    for kind in KINDS.values():
        for name, default in ((entry.name, entry.default) for entry in kind.entries):
            values = [getattr(layer, name) for layer in layers if type(layer) is kind.type]
            assert any(value != default for value in values), (kind.type, name)


def test_every_field_of_every_layer_is_in_the_file():
    """A field that `graph` gains must be written too, or it would be lost silently."""
    common = {field.name for field in dataclasses.fields(Layer)}
    assert {kind.type for kind in KINDS.values()} == {*WEIGHTED, *REQUANTIZED, *MOVING}
    for kind in KINDS.values():
        fields = {field.name for field in dataclasses.fields(kind.type)} - common
        assert fields == {entry.name for entry in kind.entries} | set(kind.arrays), kind.type


def test_the_document_names_every_kind_entry_and_array(folder):
    text = (REPOSITORY / "docs" / "tuned_file.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", text))
    for name, kind in KINDS.items():
        assert {name, *(entry.name for entry in kind.entries), *kind.arrays} <= words
    assert set(structure_of(folder)) <= words
    with np.load(folder / "tensors.npz") as tensors:
        assert {name.rpartition(".")[2] for name in tensors.files} <= words


@pytest.mark.parametrize("bits", [8, 9, 16])
def test_wide_weights(tmp_path, bits):
    tuned = small(weight_bits=bits)
    save(tuned, tmp_path / "tuned")
    assert_equal(tuned, load(tmp_path / "tuned"))
    with np.load(tmp_path / "tuned" / "tensors.npz") as tensors:
        assert tensors["0.weight"].itemsize == (1 if bits == 8 else 2)


def test_what_the_tuner_made(tmp_path):
    """From `tune` itself, with the images' results the same."""
    random = np.random.default_rng(3)
    images = random.normal(size=(16, 2, 8, 6)).astype(np.float32)
    tuned = tune(small().network, images, activation_bits=6, weight_bits=5, per_channel=True)
    save(tuned, tmp_path / "tuned")
    loaded = load(tmp_path / "tuned")
    assert_equal(tuned, loaded)
    assert loaded.tuning == tuned.tuning
    expected, got = run(tuned, images), run(loaded, images)
    assert all(np.array_equal(expected[name], got[name]) for name in expected)


def test_no_layer_with_weights(tmp_path):
    tuned = RandomNetwork(1, (2, 4, 4)).pool((2, 2)).finish()
    save(tuned, tmp_path / "tuned")
    assert_equal(tuned, load(tmp_path / "tuned"))


def test_a_long_chain_of_moves(tmp_path):
    """Formats are looked up through a thousand layers that only move values."""
    builder = RandomNetwork(1, (1, 2, 2))
    for _ in range(1500):
        builder.pool((1, 1))
    tuned = builder.dense(2).finish()
    save(tuned, tmp_path / "tuned")
    assert_equal(tuned, load(tmp_path / "tuned"))


def test_numbers_of_numpy_are_written_as_numbers(tuned, tmp_path):
    head = tuned.network.layers[0]
    layer = replace(head, maximum=np.float32(0.7), window=replace(head.window, stride=(np.int64(1), np.int32(1))))
    changed = replace(tuned, network=replace(tuned.network, layers=(layer, *tuned.network.layers[1:])))
    save(changed, tmp_path / "tuned")
    assert load(tmp_path / "tuned").network.layers[0].maximum == np.float32(0.7)


def test_an_upper_bound_for_each_channel(tmp_path):
    builder = every_kind(3)
    tuned = builder.finish()
    bounds = {}
    layers = []
    for layer in tuned.network.layers:
        if getattr(layer, "maximum", None) is not None:
            bounds[layer.name] = builder.random.uniform(0.1, 1, layer.output_shape[0]).astype(np.float32)
            layer = replace(layer, maximum=bounds[layer.name])
        layers.append(layer)
    tuned = replace(tuned, network=replace(tuned.network, layers=tuple(layers)))
    save(tuned, tmp_path / "tuned")
    loaded = load(tmp_path / "tuned")
    assert_equal(tuned, loaded)
    assert bounds.keys() == {"conv1", "activation2", "average5", "add6", "fc13"}
    images = builder.images(2)
    expected, got = run_integers(tuned, images, keep=True), run_integers(loaded, images, keep=True)
    assert all(np.array_equal(expected[name], got[name]) for name in expected)


def test_the_same_network_gives_the_same_bytes(tuned, folder, tmp_path):
    save(tuned, tmp_path / "again")
    save(load(folder), tmp_path / "twice")
    for name in ("network.json", "tensors.npz"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
        assert (folder / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()


def test_how_it_was_tuned_is_kept(tuned, tmp_path):
    tuning = {"method": "paper", "steps": ["a", "b"], "calibration": {"images": 512, "sha256": "é" * 70}, "x": None}
    save(replace(tuned, tuning=tuning), tmp_path / "tuned")
    loaded = load(tmp_path / "tuned")
    assert (loaded.tuning, loaded.by_hand) == (tuning, ())
    assert structure_of(tmp_path / "tuned")["tuning"] == tuning


def test_what_is_left_to_the_host_is_kept(tuned, tmp_path):
    host = (HostOperator(operator="Softmax", name="classes", axis=1),)
    save(replace(tuned, network=replace(tuned.network, host=host)), tmp_path / "tuned")
    assert load(tmp_path / "tuned").network.host == host
    rewrite(tmp_path / "tuned", lambda structure: structure["host"][0].update(axis=4))
    refused(tmp_path / "tuned", r"host\[0\]: axis is a whole number from 0 to 3, not 4")


def test_loading_does_not_need_the_rest(folder):
    """A reader of tuned networks needs neither the gateware nor the importer."""
    code = f"import sys; from quantflow.tuned_file import load; load({str(folder)!r}); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"amaranth", "onnx", "quantflow.tuner.tune"} & set(modules)


# For people


def test_structure_is_readable(tmp_path):
    save(every_kind().finish(), tmp_path / "tuned")
    lines = (tmp_path / "tuned" / "network.json").read_text().splitlines()
    assert '  "input": {"name": "image", "shape": [4, 9, 8], "bits": 8, "fl": 7, "signed": true},' in lines
    assert '      "window": {"kernel": [3, 3], "padding": [1, 1, 1, 1]},' in lines, "defaults are left out"
    assert '      "output": {"bits": 8, "fl": 7, "signed": true}' in lines
    assert '      "kind": "max_pool",' in lines, "each entry of a layer has a line of its own"
    assert max(map(len, lines)) <= 100


def test_one_number_where_all_channels_weights_have_one_fl(tuned, tmp_path):
    for name, entry in tuned.layers.items():
        same = np.full_like(entry.weight_fl, 11)
        tuned.layers[name] = replace(entry, weight_fl=same)
    save(tuned, tmp_path / "tuned")
    assert [layer["weight"]["fl"] for layer in structure_of(tmp_path / "tuned")["layers"] if "weight" in layer] == [
        11,
        11,
    ]
    assert_equal(tuned, load(tmp_path / "tuned"))


def test_long_lists_are_broken(tmp_path):
    """A fractional length for each of 300 channels, in the original order."""
    tuned = RandomNetwork(3, (1, 3, 3)).convolution(300, (2, 2)).finish()
    save(tuned, tmp_path / "tuned")
    assert max(map(len, (tmp_path / "tuned" / "network.json").read_text().splitlines())) <= 100
    assert_equal(tuned, load(tmp_path / "tuned"))


# Writing


def test_makes_parents_and_leaves_nothing_else(tuned, tmp_path):
    save(tuned, tmp_path / "a" / "b")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b"]
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["network.json", "tensors.npz"]


def test_replaces_an_earlier_tuned_network_and_keeps_other_files(folder):
    (folder / "notes.txt").write_text("mine")
    other = small(seed=5)
    save(other, folder)
    assert_equal(other, load(folder))
    assert (folder / "notes.txt").read_text() == "mine"


def test_replaces_one_of_version_1(tuned, folder):
    rewrite(folder, lambda structure: structure.update(version=1))
    save(tuned, folder)
    assert_equal(tuned, load(folder))


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


def test_a_layer_without_a_form_is_refused(tmp_path):
    shape = {"input_shape": (1, 2, 2), "output_shape": (1, 2, 2)}
    network = Network(
        name="n", input_name="x", input_shape=(1, 2, 2), layers=(graph.Layer(name="odd", inputs=("x",), **shape),)
    )
    with pytest.raises(UserError, match="^layer odd is of the kind Layer, which the file has no form for$"):
        save(QuantizedNetwork(network=network, input=Format(bits=8, fl=0), layers={}), tmp_path / "tuned")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_leaves_the_earlier_network_whole(tuned, folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="tuned cannot be written: No space left on device$"):
        save(small(seed=5), folder)
    assert_equal(tuned, load(folder))
    assert [path.name for path in folder.parent.iterdir()] == ["tuned"]


def test_an_interruption_between_the_two_files_is_noticed(folder, monkeypatch):
    move = os.replace

    def interrupted(source, target):
        if str(target).endswith("network.json"):
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(small(seed=5), folder)
    refused(folder, "tensors.npz is not the file that network.json beside it was written with$")
