"""Widths on the command line of `quantflow tune`: by layer, and `auto` under limits."""

import json

import numpy as np
import pytest

from quantflow import lenet, tuned_file
from quantflow.commands.widths import TRIALS, wanted
from quantflow.errors import UserError
from quantflow.size import network_bytes
from tests.quantflow.test_cli import refused, run


@pytest.fixture
def digits(tmp_path):
    random = np.random.default_rng(1)
    np.savez(tmp_path / "digits.npz", x=random.random((12, 1, 28, 28), np.float32), y=random.integers(0, 10, 12))
    return tmp_path / "digits.npz"


def tune(tmp_path, digits, *options):
    files = ("--calibration", digits, "-o", tmp_path / "t", "--json", tmp_path / "t.json")
    assert run("tune", lenet.model_path(), *files, *options) == 0
    return json.loads((tmp_path / "t.json").read_text())


def test_widths_of_single_layers(tmp_path, digits):
    options = ("--method", "max", "--weight-bits", 4, "--layer-bits", "conv1=6/7", "--layer-bits", "fc3=/16")
    figures = tune(tmp_path, digits, *options)
    assert [layer["weight_bits"] for layer in figures["layers"]] == [6, 4, 4, 4, 4]
    assert [layer["activation_bits"] for layer in figures["layers"]] == [7, 8, 8, 8, 16]
    assert "bit_widths" not in figures


def test_auto_widths_within_bytes(tmp_path, digits, capsys):
    options = ("--method", "mse", "--weight-bits", "auto", "--max-bytes", 30_000, "--exchanges", 2)
    figures = tune(tmp_path, digits, *options, "--layer-bits", "conv1=8/7")
    quantized = tuned_file.load(tmp_path / "t")
    assert figures["parameter_bytes"] == network_bytes(quantized) <= 30_000
    found = figures["bit_widths"]
    assert figures["path"] == found["path"] and found["held_out_images"] == 3
    widths = [layer["weight_bits"] for layer in figures["layers"]]
    assert widths == list(found["chosen"]["weight_bits"].values()) and widths[0] == 8 and len(set(widths)) > 1
    assert figures["layers"][0]["activation_bits"] == 7
    assert len((tmp_path / "t" / TRIALS).read_text().splitlines()) == found["tunes"] + 2  # sensitivities
    text = capsys.readouterr().out
    assert "chosen" in text and f"{found['tunes']} choices of widths tuned and measured" in text
    again = tune(tmp_path, digits, *options, "--layer-bits", "conv1=8/7")
    assert again["bit_widths"]["tunes"] == 0 and again["bit_widths"]["known"] == found["tunes"]


def test_auto_maps_within_a_drop_and_the_cycles_of_a_board(tmp_path, digits):
    drop = tune(tmp_path, digits, "--method", "mse", "--activation-bits", "auto", "--max-drop", 100, "--exchanges", 0)
    assert {layer["activation_bits"] for layer in drop["layers"]} == {4}
    options = ("--weight-bits", "auto", "--max-cycles", 8000, "--board", "ulx3s-85f", "--exchanges", 0)
    assert tune(tmp_path, digits, "--method", "mse", *options)["bit_widths"]["chosen"]["cycles"] <= 8000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weight-bits", "auto"), "auto widths need a limit: --max-drop POINTS, --max-bytes BYTES or"),
        (("--max-bytes", 5), "--max-bytes limits a search, which --weight-bits auto"),
        (("--weight-bits", "wide"), "--weight-bits is a whole number from 2 to 16, or auto, not wide"),
        (("--activation-bits", "auto", "--max-cycles", 5), "--max-cycles limits the weights' widths, which"),
        (("--weight-bits", "auto", "--max-cycles", 5), "which --board NAME chooses"),
        (("--weight-bits", "auto", "--max-drop", -1), "--max-drop is a number of at least 0, not -1.0"),
        (("--weight-bits", "auto", "--max-drop", "nan"), "--max-drop is a number of at least 0, not nan"),
        (("--board", "zc706"), "--board is for a search"),
        (("--layer-bits", "conv1"), "--layer-bits is NAME=WEIGHTS, NAME=WEIGHTS/OUTPUT or NAME=/OUTPUT in bits, not"),
        (("--layer-bits", "conv1=x"), "--layer-bits is NAME=WEIGHTS"),
        (("--layer-bits", "conv9=4"), "widths are given for 'conv9'"),
        (("--weight-bits", 17), "weight bits are a whole number from 2 to 16, not 17"),
    ],
)
def test_what_cannot_be_meant(tmp_path, digits, capsys, options, message):
    arguments = ("tune", lenet.model_path(), "--calibration", digits, "-o", tmp_path / "t", *options)
    assert message in refused(capsys, *arguments)


def test_names_may_hold_the_signs_between_them():
    found = wanted("8", "8", ["/layer1/a=b/Conv=4/6", "x=/5", "y=3"])
    assert found.layers == {"/layer1/a=b/Conv": (4, 6), "x": (None, 5), "y": (3, None)}
    with pytest.raises(UserError, match="there is no board nowhere"):
        wanted("auto", "8", board="nowhere", max_cycles=5)
