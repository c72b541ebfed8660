"""`quantflow compare` as a user meets it."""

import json

import numpy as np
import pytest

from quantflow import tuned_file
from quantflow.commands import compare as command
from tests.quantflow.branched import branched, branched_images
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.test_cli import refused, run


def chain(seed, bits, channels=3):
    return RandomNetwork(seed, (1, 6, 6), weight_bits=bits).convolution(channels, (3, 3)).dense(4).finish()


@pytest.fixture
def folders(tmp_path):
    for name, bits in (("a", 8), ("b", 4)):
        tuned_file.save(chain(1, bits), tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def test_without_images(folders, tmp_path, capsys):
    assert run("compare", *folders, "--json", tmp_path / "c.json") == 0
    figures = json.loads((tmp_path / "c.json").read_text())
    assert figures["evaluation"] is None
    assert [layer["name"] for layer in figures["layers"]] == ["image", "conv1", "fc2"]
    text = capsys.readouterr().out
    assert "8 → 4" in text and "2 of 3 formats differ" in text and "SQNR" not in text


def test_with_images(folders, tmp_path, capsys):
    random = np.random.default_rng(0)
    x = random.normal(size=(9, 1, 6, 6)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=random.integers(0, 4, 9))
    assert run("compare", *folders, "--evaluate", tmp_path / "x.npz", "--json", tmp_path / "c.json") == 0
    evaluation = json.loads((tmp_path / "c.json").read_text())["evaluation"]
    assert evaluation["a"]["images"] == 9 and set(evaluation["paired"]) == {"float", "labels"}
    text = capsys.readouterr().out
    assert all(part in text for part in ("SQNR", "top-1", "agreement with float", "same answer", "points ±"))


def test_every_kind_of_layer_is_shown(capsys):
    a, b = branched(), branched(weight_bits=3)
    figures = {"a": "one", "b": "two", **command.compare(a, b)}
    figures["evaluation"] = command.compare_on(a, b, branched_images(8), np.zeros(8, int))
    command.show(figures)
    text = capsys.readouterr().out
    assert all(layer["name"] in text for layer in figures["layers"]) and "top-5" in text


def test_other_networks_are_refused(folders, tmp_path, capsys):
    tuned_file.save(chain(1, 8, channels=5), tmp_path / "c")
    error = refused(capsys, "compare", folders[0], tmp_path / "c")
    assert "hold different networks: layer conv1 gives a map of 3 x 4 x 4 in the first and 5 x 4 x 4" in error
    assert "is not a tuned network" in refused(capsys, "compare", folders[0], tmp_path)
