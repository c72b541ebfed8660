"""`quantflow tune` as a user meets it: the tables, the report, what the run before had."""

import json

import numpy as np
import pytest

from quantflow import lenet
from quantflow.commands import tuning
from quantflow.tuner.methods import METHODS
from tests.quantflow.test_cli import refused, run


@pytest.fixture
def digits(tmp_path):
    random = np.random.default_rng(1)
    np.savez(tmp_path / "digits.npz", x=random.random((6, 1, 28, 28), np.float32), y=random.integers(0, 10, 6))
    return tmp_path / "digits.npz"


def tune(tmp_path, digits, *options):
    files = ("--calibration", digits, "-o", tmp_path / "t", "--json", tmp_path / "t.json")
    assert run("tune", lenet.model_path(), *files, *options) == 0
    return json.loads((tmp_path / "t.json").read_text())


def test_report_holds_the_figures_of_the_json(tmp_path, digits, capsys):
    figures = tune(tmp_path, digits, "--method", "mse", "--weight-bits", 5, "--report", tmp_path / "r.html")
    found = figures["report"]
    assert [entry["method"] for entry in found["methods"]] == list(METHODS)
    assert [entry["weight_bits"] for entry in found["widths"] if entry["chosen"]] == [5]
    assert [entry["name"] for entry in found["histograms"]][:2] == ["image", "conv1"]
    page = (tmp_path / "r.html").read_text()
    assert all(f"{100 * entry['agreement']:.2f} %" in page for entry in (*found["methods"], *found["widths"]))
    written = capsys.readouterr()
    assert "report in" in written.out and "9 more tunings are measured" in written.err


def test_a_second_run_says_what_it_changed(tmp_path, digits, capsys):
    assert tune(tmp_path, digits, "--method", "max")["previous"] is None
    assert "previous run" not in capsys.readouterr().out
    figures = tune(tmp_path, digits, "--method", "max", "--weight-bits", 4)
    assert figures["previous"]["figures"]["b"]["agreement"] == figures["agreement"]
    assert [layer["name"] for layer in figures["previous"]["layers"] if layer["changed"]][0] == "conv1"
    assert "against the previous run" in capsys.readouterr().out
    assert json.loads((tmp_path / "t" / "figures.json").read_text())["agreement"] == figures["agreement"]


def test_a_missing_package_is_said_before_the_work(tmp_path, digits, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = ("--calibration", digits, "-o", tmp_path / "t", "--report", tmp_path / "r.html")
    assert "pip install 'quantflow[report]'" in refused(capsys, "tune", lenet.model_path(), *arguments)
    assert not (tmp_path / "t").exists()


def test_steps_are_shown_where_they_are_known(tmp_path, digits, capsys):
    figures = tune(tmp_path, digits, "--method", "paper")
    capsys.readouterr()
    figures["layers"][0]["steps"] = {"nearest": -12.34, "better": -23.46}
    tuning.show(figures)
    text = capsys.readouterr().out
    assert all(part in text for part in ("noise after", "nearest", "-12.3 dB", "-23.5 dB"))
