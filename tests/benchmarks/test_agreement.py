"""What the table of agreement measures and how it judges."""

from argparse import Namespace

import pytest

from benchmarks import agreement, networks
from quantflow.tuner.methods import STEPS, UNSIGNED_MAPS, find_method, steps_of


def arguments(**changes):
    chosen = {"data": None, "networks": ("mobilenet",), "bits": None, "granularity": ("layer",), "steps": False}
    return Namespace(**{**chosen, "methods": ("paper", "default"), "maps": agreement.MAPS, **changes})


@pytest.fixture(autouse=True)
def no_network_is_read(monkeypatch):
    monkeypatch.setattr(networks, "load", lambda name, folder: name)


def test_each_network_is_measured_at_its_widths_with_both_kinds_of_maps():
    found = [run for _, run, _ in agreement.runs(arguments(networks=("mobilenet", "resnet20")))]
    mobilenet = [run for run in found if run["network"] == "mobilenet"]
    assert [(run["weight_bits"], run["unsigned"], run["method"]) for run in mobilenet] == [
        (bits, unsigned, method) for bits in (8, 4) for unsigned in (False, True) for method in ("paper", "default")
    ]
    assert {run["weight_bits"] for run in found if run["network"] == "resnet20"} == {8, 4, 3, 2}


def test_options_are_those_of_the_run():
    for _, run, options in agreement.runs(arguments(granularity=("layer", "channel"), bits=[3])):
        assert options["weight_bits"] == run["weight_bits"] == 3
        assert options["per_channel"] == (run["granularity"] == "channel")
        assert options["method"] == run["method"]
        taken, own = find_method(options["method"], options["steps"]), steps_of(options["method"])[0]
        assert taken.has(UNSIGNED_MAPS) == run["unsigned"]
        assert set(own) - set(taken.steps) <= {UNSIGNED_MAPS}, "the default method's other steps are all taken"


def test_steps_are_added_and_left_out_one_by_one():
    found = agreement.variants(arguments(steps=True))
    taken = {name: find_method(options["method"], options["steps"]).steps for name, options in found}
    assert taken["no step"] == () and taken["default"] == STEPS
    for count, step in enumerate(STEPS[:-1], start=1):
        assert taken[f"up to {step}"] == STEPS[:count]
    for step in STEPS:
        assert set(STEPS) - set(taken[f"without {step}"]) == {step}
    assert len(taken) == 2 * len(STEPS) + 1


@pytest.mark.parametrize(
    ("network", "bits", "unsigned", "method", "granularity", "share", "expected"),
    [
        ("resnet20", 4, False, "default", "layer", 0.98, (98.0, True)),
        ("resnet20", 4, False, "default", "channel", 0.98, (98.5, False)),
        ("resnet20", 4, True, "default", "layer", 0.98, (None, None)),
        ("resnet20", 4, False, "paper", "layer", 1.0, (None, None)),
        ("resnet20", 2, False, "default", "layer", 1.0, (None, None)),
        ("resnet20", 5, False, "default", "layer", 1.0, (None, None)),
        ("lenet_caffe", 2, False, "default", "channel", 0.996, (99.6, True)),
        ("mobilenet", 8, False, "default", "channel", 0.8999, (90, False)),
        ("mobilenet", 8, True, "default", "channel", 0.9, (90, True)),
    ],
)
def test_agreement_is_judged_by_the_target_of_its_width(network, bits, unsigned, method, granularity, share, expected):
    run = {"network": network, "weight_bits": bits, "unsigned": unsigned}
    run |= {"method": method, "granularity": granularity}
    judged = agreement.judged(run, {"agreement": share})
    assert (judged["target_percent"], judged["reached"]) == expected
