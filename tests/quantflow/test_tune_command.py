"""`quantflow tune` as a user meets it: the tables, the report, what the run before had."""

import json
import re
import shutil

import numpy as np
import pytest

from quantflow import lenet, tuned_file
from quantflow.errors import UserError
from quantflow.tuner import tune as tune_module
from quantflow.tuner.methods import METHODS, STEPS
from tests.quantflow.test_cli import refused, run
from tests.quantflow.test_gains import ORDER as LAYER_STEPS


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
    figures = tune(tmp_path, digits, "--weight-bits", 4)
    text = capsys.readouterr().out
    for layer in figures["layers"]:
        assert list(layer["steps"])[:2] == ["nearest", "squared-error"] and {"compensation"} < set(layer["steps"])
        assert all(f" {decibels:.1f}" in text for decibels in layer["steps"].values())
    words = {part for step in figures["layers"][0]["steps"] for part in step.split("-")}
    assert all(word in text.split("Noise at each layer's output")[1] for word in words)
    figures = tune(tmp_path, digits, "--method", "paper")
    assert [list(layer["steps"]) for layer in figures["layers"]] == [["nearest"]] * 5


def test_a_model_that_came_quantized_is_kept(tmp_path, digits, capsys):
    tune(tmp_path, digits, "--weight-bits", 5, "--activation-bits", 7)
    assert run("export", tmp_path / "t", "-o", tmp_path / "quantized.onnx") == 0
    capsys.readouterr()
    files = ("--calibration", digits, "-o", tmp_path / "again", "--json", tmp_path / "again.json")
    assert run("tune", tmp_path / "quantized.onnx", *files) == 0
    kept = "the model came quantized: the formats of 6 maps and of the weights of 5 layers are kept"
    assert kept in " ".join(capsys.readouterr().out.split())
    figures = json.loads((tmp_path / "again.json").read_text())
    assert figures["tuning"]["method"] == "given"
    assert [layer["activation_bits"] for layer in figures["layers"]] == [7] * 5
    first, again = (tuned_file.load(tmp_path / name) for name in ("t", "again"))
    assert all(np.array_equal(first.layers[name].weight, again.layers[name].weight) for name in first.layers)


def test_options_reach_the_tuner(tmp_path, digits):
    figures = tune(tmp_path, digits, "--without", "refinement", "--without", "least-squares")
    left = [step for step in STEPS if step not in ("refinement", "least-squares")]
    assert (figures["steps"], figures["memory"]) == (left, 4 << 30)
    tuning = tuned_file.load(tmp_path / "t").tuning
    assert (tuning["steps"], tuning["calibration_images"]) == (left, 6)
    assert not any(layer["activation_signed"] for layer in figures["layers"][:-1])
    assert set(figures["layers"][0]["steps"]) == {"nearest", *left} & {"nearest", *LAYER_STEPS}


def test_a_sign_bit_is_dropped_or_kept_as_asked(tmp_path, digits):
    figures = tune(tmp_path, digits, "--without", "unsigned-maps", "--without", "unsigned-input")
    assert all(layer["activation_signed"] for layer in figures["layers"])
    figures = tune(tmp_path, digits, "--method", "max", "--with", "unsigned-maps")
    assert (figures["method"], figures["steps"]) == ("max", ["unsigned-maps"])
    assert [layer["activation_signed"] for layer in figures["layers"]] == 4 * [False] + [True]


def test_the_report_is_of_the_same_options(tmp_path, digits):
    left = [*(step for step in STEPS if step != "compensation"), "joint"]
    options = ("--without", "compensation", "--with", "joint", "--memory", 0)
    found = tune(tmp_path, digits, *options, "--report", tmp_path / "r.html")["report"]
    assert [entry["steps"] for entry in found["steps"]] == [left[:count] for count in range(len(left) + 1)]
    assert [entry["chosen"] for entry in found["steps"]] == [False] * len(left) + [True]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--without", "refining"), f"out of the method default: {', '.join(STEPS)}, not refining$"),
        (("--with", "refinement"), "--with adds a step to the method default: joint, not refinement$"),
        (("--with", "joint", "--method", "max"), "the method max: unsigned-input, unsigned-maps, not joint$"),
        (("--without", "joint", "--method", "mse"), "leaves a step out of the method mse: it has none, not joint$"),
        (("--with", "joint", "--method", "best"), "the tuner's methods are paper, max, mse, default, not best$"),
        (("--memory", -1), "--memory is a number of GiB, at least 0, not -1.0$"),
        (("--memory", "inf"), "--memory is a number of GiB, at least 0, not inf$"),
        (("--memory", "nan"), "--memory is a number of GiB, at least 0, not nan$"),
    ],
)
def test_refuses_options_that_mean_nothing(options, sentence, tmp_path, digits, capsys):
    arguments = ("--calibration", digits, "-o", tmp_path / "t", *options)
    assert re.search(sentence, refused(capsys, "tune", lenet.model_path(), *arguments))
    assert not (tmp_path / "t").exists()


@pytest.fixture
def cut_off(monkeypatch):
    """A function: from now on, the tuner is interrupted, or refuses, at the layer fc1; until it is called again."""
    tune_layer = tune_module.tune_layer

    def at_fc1(error):
        def watched(tuned, layer, *arguments):
            if layer.name == "fc1" and error is not None:
                raise error
            return tune_layer(tuned, layer, *arguments)

        monkeypatch.setattr(tune_module, "tune_layer", watched)

    return at_fc1


def test_an_interrupted_command_goes_on(tmp_path, digits, capsys, cut_off):
    plain = tune(tmp_path, digits, "--weight-bits", 4)
    tuned = (tmp_path / "t" / "network.json").read_bytes()
    shutil.rmtree(tmp_path / "t")
    capsys.readouterr()
    cut_off(KeyboardInterrupt())
    arguments = ("--calibration", digits, "-o", tmp_path / "t", "--weight-bits", 4)
    assert run("tune", lenet.model_path(), *arguments) == 130
    said = capsys.readouterr().err.strip()
    assert (
        said
        == f"interrupted; the same command goes on from the layers that are finished, kept in {tmp_path}/t/.partial"
    )
    assert [path.name for path in (tmp_path / "t").iterdir()] == [".partial"]
    cut_off(None)
    again = tune(tmp_path, digits, "--weight-bits", 4)
    assert f"2 of 5 layers are kept in {tmp_path}/t/.partial: tuning goes on from there" in capsys.readouterr().err
    assert (tmp_path / "t" / "network.json").read_bytes() == tuned
    assert again["layers"] == plain["layers"] and again["previous"] is None
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == ["figures.json", "network.json", "tensors.npz"]


def test_another_command_starts_anew(tmp_path, digits, capsys, cut_off):
    arguments = ("--calibration", digits, "-o", tmp_path / "t", "--weight-bits", 4)
    cut_off(KeyboardInterrupt())
    assert run("tune", lenet.model_path(), *arguments) == 130
    cut_off(None)
    tune(tmp_path, digits, "--weight-bits", 5)
    assert ".partial is of another tuning: this one starts from the first layer" in capsys.readouterr().err


def test_a_refusal_leaves_nothing_behind(tmp_path, digits, capsys, cut_off):
    cut_off(UserError("no"))
    assert "no" in refused(capsys, "tune", lenet.model_path(), "--calibration", digits, "-o", tmp_path / "t")
    assert not (tmp_path / "t" / ".partial").exists()
