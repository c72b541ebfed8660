"""The gallery's pictures are made of the figures, and of no others than those asked for."""

from types import SimpleNamespace

import pytest

from benchmarks import gallery
from tests.quantflow.report_figures import on_board


@pytest.fixture
def figures(monkeypatch):
    """The steps before the report, each giving what is known of three layers."""
    values, routed = on_board()
    simulation = SimpleNamespace(to_json=lambda: values["simulation"])
    case = SimpleNamespace(network=None, calibration=[], images=[], labels=[])
    steps = {
        "networks": SimpleNamespace(load=lambda name: case, NAMES=("lenet5",)),
        "tuned_file": SimpleNamespace(load=lambda folder: None),
        "Dataset": SimpleNamespace,
        "tune_and_evaluate": lambda *_: values["tuning"],
        "generate": lambda *_: values["build"],
        "simulate": lambda *_: simulation,
        "build_bitstream": lambda folder: routed,
    }
    for name, step in steps.items():
        monkeypatch.setattr(gallery, name, step)


def test_pictures_are_named_after_network_and_plot(figures, tmp_path):
    gallery.run("lenet5", "board-7", folder=tmp_path / "work", gallery=tmp_path / "g", plots=["resources", "cycles"])
    assert {path.name for path in (tmp_path / "g").iterdir()} == {"lenet5_resources.svg", "lenet5_cycles.svg"}
    page = (tmp_path / "work" / "lenet5-board-7" / "report.html").read_text()
    assert "LeNet-5 on board-7" in page and "Nothing here was placed and routed" in page


def test_with_a_bitstream_figures_are_the_routed_ones(figures, tmp_path):
    gallery.run("lenet5", "board-7", bitstream=True, folder=tmp_path, gallery=tmp_path, plots=["resources"])
    assert "4,567 of 8,000" in (tmp_path / "lenet5_resources.svg").read_text()
