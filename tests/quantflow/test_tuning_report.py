"""The tuner's report: what it measures, and that every figure of it is on the page."""

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from quantflow import plotting, tuned_file
from quantflow.arithmetic import Format
from quantflow.datasets import Dataset
from quantflow.evaluate import evaluate
from quantflow.float_engine import activations
from quantflow.tuner.methods import METHODS, STEPS
from quantflow.tuner.tune import tune
from quantflow.tuning_report import histograms as histograms_module
from quantflow.tuning_report import render
from quantflow.tuning_report.histograms import BINS, histograms
from quantflow.tuning_report.previous import PreviousRun, difference, digest, previous_run
from quantflow.tuning_report.survey import WIDTHS, planned, survey
from tests.quantflow.branched import OUTPUTS, branched, branched_images
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.test_report import Page


@pytest.fixture(scope="module")
def network():
    """Two layers with float weights that a tuner can work on."""
    builder = RandomNetwork(5, (2, 6, 6)).convolution(4, (3, 3)).dense(11)
    random = np.random.default_rng(5)
    network = builder.finish().network
    layers = tuple(
        replace(layer, weight=random.normal(size=layer.weight.shape).astype("f4")) for layer in network.layers
    )
    return replace(network, layers=layers)


@pytest.fixture(scope="module")
def sets():
    labels = np.random.default_rng(8).integers(0, 11, 40)
    return Dataset(images=branched_images(30, seed=2)), Dataset(images=branched_images(40, seed=3), labels=labels)


@pytest.fixture(scope="module")
def figures(network, sets):
    """What `quantflow tune --report` hands to the page, previous run included."""
    calibration, test = sets
    quantized = tune(network, calibration.images, weight_bits=4)
    values = evaluate(quantized, test.images, test.labels).to_json()
    found = survey(network, values, calibration, test, planned(quantized, method="default"))
    found |= {"calibration_images": 30, "histogram_images": 30, "histograms": histograms(quantized, calibration.images)}
    before = tune(network, calibration.images, weight_bits=5)
    return {
        **values,
        "method": "default",
        "per_channel": False,
        "report": found,
        "previous": _difference(before, quantized, values, evaluate(before, test.images).to_json()),
    }


def _difference(before, now, figures, figures_before=None):
    return difference(PreviousRun(quantized=before, figures=figures_before), now, figures)


# What is measured


def test_the_plan_has_every_method_width_and_step():
    runs = planned(branched(weight_bits=4), method="default")
    names = {group: [run.entry for run in runs if run.group == group] for group in ("methods", "widths", "steps")}
    assert [entry["method"] for entry in names["methods"]] == list(METHODS)
    assert [entry["weight_bits"] for entry in names["widths"]] == list(WIDTHS)
    assert [entry["steps"] for entry in names["steps"]] == [list(STEPS[:count]) for count in range(len(STEPS) + 1)]
    assert [entry["added"] for entry in names["steps"]] == [None, *STEPS]
    reused = [run.entry for run in runs if run.options is None]
    assert reused == [{"method": "default"}, {"weight_bits": 4}, {"added": STEPS[-1], "steps": list(STEPS)}]


def test_other_methods_have_the_chosen_widths_and_no_steps():
    mixed = branched(weight_bits=4)
    mixed.layers["fc"] = branched(weight_bits=6).layers["fc"]
    runs = planned(mixed, method="paper")
    assert not [run for run in runs if run.group == "steps"]
    options = next(run.options for run in runs if run.entry == {"method": "max"})
    assert options["weight_bits"] == {"conv1": 4, "conv2": 4, "fc": 6}
    assert options["activation_bits"] == {"image": 8} | {name: format.bits for name, format in OUTPUTS.items()}
    assert all(run.options is not None for run in runs if run.group == "widths"), "no uniform width is the chosen one"
    width = next(run.options for run in runs if run.entry == {"weight_bits": 4})
    assert (width["method"], width["weight_bits"]) == ("paper", 4)


def test_steps_that_were_left_out_stay_out():
    runs = planned(branched(), method="default", steps=STEPS[1:3])
    assert [run.entry["steps"] for run in runs if run.group == "steps"] == [[], [STEPS[1]], list(STEPS[1:3])]
    assert next(run.options for run in runs if run.entry == {"weight_bits": 3})["steps"] == STEPS[1:3]


def test_survey_measures_what_tune_and_evaluate_give(network, sets):
    calibration, test = sets
    quantized = tune(network, calibration.images, weight_bits=4, per_channel=True)
    values = evaluate(quantized, test.images, test.labels).to_json()
    runs = [run for run in planned(quantized, method="default") if run.entry in ({"method": "mse"}, {"weight_bits": 2})]
    runs += [run for run in planned(quantized, method="default") if run.entry == {"method": "default"}]
    calls = []
    found = survey(
        network, values, calibration, test, runs, progress=lambda *call: calls.append(call), per_channel=True
    )
    for entry, options in zip(
        (*found["methods"], *found["widths"]),
        ({"method": "mse", "weight_bits": 4}, {"weight_bits": 4}, {"weight_bits": 2}),
        strict=True,
    ):
        again = tune(network, calibration.images, per_channel=True, **options)
        expected = evaluate(again, test.images, test.labels).to_json()
        assert all(entry[key] == expected[key] for key in ("agreement", "fixed_top1", "output_sqnr_db"))
        assert [layer["sqnr_db"] for layer in entry["layers"]] == [layer["sqnr_db"] for layer in expected["layers"]]
    assert [run["chosen"] for run in found["methods"]] == [False, True]
    assert [call[0] for call in calls] == list(range(1, 7)) and {call[1] for call in calls} == {6}


def test_histograms_are_those_of_the_float_numbers(monkeypatch):
    tuned, x = branched(), branched_images(20)
    monkeypatch.setattr(histograms_module, "batches", lambda *_: [slice(0, 7), slice(7, 20)])
    calls = []
    found = {entry["name"]: entry for entry in histograms(tuned, x, progress=lambda *call: calls.append(call))}
    assert calls[-1] == (40, 40, "histograms")
    assert list(found) == ["image", "conv1", "conv2", "leaky", "sum", "both", "mean", "fc"]
    for name, values in activations(tuned.network, x).items():
        if name != "pool":
            drawn = found[name]["activations"]
            assert sum(drawn["counts"]) == values.size and len(drawn["counts"]) == BINS
            assert drawn["low"] <= values.min() and drawn["high"] >= values.max()
            assert drawn["counts"] == np.histogram(values, BINS, (drawn["low"], drawn["high"]))[0].tolist()
    assert found["conv1"]["activations"]["ranges"] == [[0.0, 255 / 64, 1 / 64]], "unsigned, fl 6"
    assert found["sum"]["activations"]["ranges"] == [[-64 / 16, 63 / 16, 1 / 16]], "7 bits, fl 4"
    assert found["sum"]["weights"] is None
    assert sum(found["conv2"]["weights"]["counts"]) == tuned.network["conv2"].weight.size


def test_channels_of_several_lengths_show_the_finest_and_the_coarsest_range():
    tuned = branched()
    tuned.layers["conv1"].weight_fl[:] = (8, 6, 7, 8)
    conv = next(entry for entry in histograms(tuned, branched_images(2)) if entry["name"] == "conv1")
    assert [lsb for *_, lsb in conv["weights"]["ranges"]] == [2**-8, 2**-6]
    assert conv["weights"]["low"] <= -2.0


# The run before


def test_previous_run(tmp_path):
    assert previous_run(tmp_path / "none") is None
    tuned = RandomNetwork(5, (2, 6, 6)).convolution(4, (3, 3)).finish()
    tuned_file.save(tuned, tmp_path / "t")
    assert previous_run(tmp_path / "t").figures is None
    values = evaluate(tuned, branched_images(3)).to_json() | {"network_sha256": digest(tmp_path / "t")}
    (tmp_path / "t" / "figures.json").write_text(json.dumps(values))
    assert previous_run(tmp_path / "t").figures == values
    for broken in (values | {"network_sha256": "0"}, values | {"agreement": "all"}, [1], {}):
        (tmp_path / "t" / "figures.json").write_text(json.dumps(broken))
        assert previous_run(tmp_path / "t").figures is None
    (tmp_path / "t" / "network.json").write_text("{}")
    assert previous_run(tmp_path / "t") is None


def test_difference():
    x = branched_images(5)
    now = branched(outputs=OUTPUTS | {"sum": Format(bits=7, fl=3)})
    figures = evaluate(now, x).to_json()
    found = _difference(branched(), now, figures)
    assert found["figures"]["a"] is None and found["figures"]["b"]["agreement"] == figures["agreement"]
    assert [layer["name"] for layer in found["layers"] if layer["changed"]] == ["sum"]
    assert _difference(RandomNetwork(5, (2, 6, 6)).convolution(4, (3, 3)).finish(), now, figures) is None


# The page


def test_page_stands_alone(figures):
    text = render("network", figures)
    page = Page(text)
    assert page.open == [], "every element is closed"
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert all(reference.startswith("#") for reference in page.references), "nothing outside the page"
    assert not re.search(r"url\((?!#)|@import|://", text)
    assert all(colour not in text for colour in plotting.THEME), "plots take the page's colours"
    assert page.tags.count("svg") == 3 + len(figures["report"]["histograms"])


def test_every_figure_is_there(figures):
    page = Page(render("network", figures))
    rows = {tuple(row) for row in page.rows}
    assert ("conv1", "Convolution", "4") == next(row[:3] for row in rows if row[:2] == ("conv1", "Convolution"))
    first = {row[0] for row in rows}
    assert {"paper", "max", "mse", "default (chosen)", "4 (chosen)", "8", "none", f"+ {STEPS[-1]}"} <= first
    assert {"Top-1, fixed point"} & first == set(), "the run before had no labels"
    assert any(row[:2] == ("conv1", "5 → 4") for row in rows), "what changed since the run before"
    text = render("network", figures)
    for entry in figures["report"]["steps"]:
        assert f"{100 * entry['agreement']:.2f} %" in text
    assert f">{figures['confusions'][0]['count']}<" in text


def test_steps_of_each_layer_are_shown_where_known(figures):
    layers = [layer | {"steps": {"nearest": -20.04, "other": -25.5}} for layer in figures["layers"]]
    del layers[1]["steps"]["other"]
    page = Page(render("network", figures | {"layers": layers}))
    assert ["conv1", "-20.0 dB", "-25.5 dB"] in page.rows and ["fc2", "-20.0 dB"] in page.rows
    assert "layer by layer" not in render("network", figures)


def test_names_are_text_whatever_they_hold(figures):
    name = r"/features/<b>&$\bad$/Conv"
    values = json.loads(json.dumps(figures).replace('"conv1"', json.dumps(name)))
    text = render("<i>", values)
    assert f"<h3>{html.escape(name)}</h3>" in text and "<b>" not in text and "<i>" not in text


def test_what_is_not_there_is_left_out(figures):
    few = figures | {"previous": None, "float_top1": None, "fixed_top1": None, "float_top5": None, "fixed_top5": None}
    few |= {"confusions": [], "report": figures["report"] | {"steps": []}}
    text = render("network", few)
    assert "previous run" not in text and "Accuracy" not in text
    assert "name the same class for every image" in text and "The steps of the method default are shown here" in text


def test_the_same_choices_are_said_to_be_the_same(figures):
    same = branched()
    previous = _difference(same, same, figures, figures)
    assert "Every choice and every weight is the same." in render("network", figures | {"previous": previous})


@pytest.mark.parametrize("classes", [21, 101])
def test_many_classes_have_a_plot_or_a_list(figures, classes):
    matrix = np.diag(np.full(classes, 2))
    matrix[3, 5] = 7
    values = {"confusion_matrix": matrix.tolist() if classes <= 100 else None}
    values |= {"confusions": [{"float": 3, "fixed": 5, "count": 7}]}
    text = render("network", figures | values)
    assert ("class named by float</text>" in text) == (classes == 21)
    assert ["3", "5", "7"] in Page(text).rows


def test_the_path_of_a_search_is_drawn(figures):
    path = [{"parameter_bytes": 1000 * count, "agreement": 0.9} for count in (3, 2, 1)]
    assert "the search for widths" in render("network", figures | {"path": path})
    assert "the search for widths" not in render("network", figures)


def test_layers_without_signal_or_noise_leave_gaps_not_errors(figures):
    values = json.loads(json.dumps(figures))
    for run in values["report"]["methods"]:
        run["layers"][0] |= {"sqnr_db": None, "exact": True}
    values["report"]["methods"][0]["layers"][1] |= {"sqnr_db": None, "exact": False}
    values["report"]["steps"][0] |= {"output_sqnr_db": None, "output_exact": False}
    assert "no signal" in render("network", values)
