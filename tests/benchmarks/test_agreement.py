"""What the table of agreement measures and how it judges."""

from argparse import Namespace

import pytest

from benchmarks import agreement, networks
from quantflow.tuner.methods import STEPS, find_method


def arguments(**changes):
    chosen = {"data": None, "networks": ("mobilenet",), "bits": None, "granularity": ("layer",), "steps": False}
    return Namespace(**{**chosen, "methods": ("paper", "default"), **changes})


@pytest.fixture(autouse=True)
def no_network_is_read(monkeypatch):
    monkeypatch.setattr(networks, "load", lambda name, folder: name)


def test_each_network_is_measured_at_its_widths_and_mobilenet_unsigned_too():
    found = [run for _, run, _ in agreement.runs(arguments(networks=("mobilenet", "resnet20")))]
    mobilenet = [run for run in found if run["network"] == "mobilenet"]
    assert [(run["weight_bits"], run["unsigned"], run["method"]) for run in mobilenet] == [
        (bits, unsigned, method) for bits in (8, 4) for unsigned in (False, True) for method in ("paper", "default")
    ]
    assert {run["weight_bits"] for run in found if run["network"] == "resnet20"} == {8, 4, 3, 2}
    assert not any(run["unsigned"] for run in found if run["network"] == "resnet20")


def test_options_are_those_of_the_run():
    for _, run, options in agreement.runs(arguments(granularity=("layer", "channel"), bits=[3])):
        assert options["weight_bits"] == run["weight_bits"] == 3
        assert options["per_channel"] == (run["granularity"] == "channel")
        assert (options["unsigned"], options["method"]) == (run["unsigned"], run["method"])


def test_steps_are_added_and_left_out_one_by_one():
    found = agreement.variants(arguments(steps=True))
    taken = {name: find_method(**options_of(options)).steps for name, options in found.items()}
    assert taken["no step"] == () and taken["default"] == STEPS
    for count, step in enumerate(STEPS[:-1], start=1):
        assert taken[f"up to {step}"] == STEPS[:count]
    for step in STEPS:
        assert set(STEPS) - set(taken[f"without {step}"]) == {step}
    assert len(taken) == 2 * len(STEPS) + 1


def options_of(options):
    return {"name": options["method"], "steps": options.get("steps")}


@pytest.mark.parametrize(
    ("network", "bits", "method", "granularity", "share", "expected"),
    [
        ("resnet20", 4, "default", "layer", 0.98, (98.0, True)),
        ("resnet20", 4, "default", "channel", 0.98, (98.5, False)),
        ("resnet20", 4, "paper", "layer", 1.0, (None, None)),
        ("resnet20", 2, "default", "layer", 1.0, (None, None)),
        ("resnet20", 5, "default", "layer", 1.0, (None, None)),
        ("lenet_caffe", 2, "default", "channel", 0.996, (99.6, True)),
        ("mobilenet", 8, "default", "channel", 0.8999, (90, False)),
    ],
)
def test_agreement_is_judged_by_the_target_of_its_width(network, bits, method, granularity, share, expected):
    run = {"network": network, "weight_bits": bits, "method": method, "granularity": granularity}
    judged = agreement.judged(run, {"agreement": share})
    assert (judged["target_percent"], judged["reached"]) == expected
