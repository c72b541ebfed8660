"""`quantflow simulate`: its progress, its figures, and the windows of waves that it takes."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from quantflow.commands import simulate
from tests.quantflow.test_cli import refused, run
from tests.sim.copying import copying_build


@pytest.fixture
def build(tmp_path):
    """The stand-in machine's build folder, and images for it."""
    _, images = copying_build(tmp_path / "build")
    np.savez(tmp_path / "images.npz", x=images.astype(np.float32))
    return tmp_path / "build", "--images", tmp_path / "images.npz"


def test_figures_are_printed_and_written(build, tmp_path, capsys):
    assert run("simulate", *build, "--count", 2, "--json", tmp_path / "s.json") == 0
    figures, text = json.loads((tmp_path / "s.json").read_text()), capsys.readouterr().out
    (layer,) = figures["layers"]
    assert figures["bit_exact"] and figures["images"] == 2 and figures["simulated_cycles_per_second"] > 0
    for number in (layer["cycles"], layer["predicted_cycles"], sum(layer["bytes_moved"].values())):
        assert f"{round(number):,}" in text
    assert layer["bound"] in text and "bit-exact: 2 of 2 images" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--waves-cycles", "5"), "a window of cycles is written FROM:TO, such as 1000:2000, not '5'"),
        (("--waves-cycles", "5:5"), "a window of cycles is written FROM:TO"),
        (("--waves-layer", "conv7"), "there is no layer conv7 whose waves could be recorded; there are pool1"),
        (("--waves-layer", "pool1", "--waves-cycles", "1:2"), "limited to a layer or to cycles, not to both"),
    ],
)
def test_windows_that_do_not_exist(build, capsys, options, message):
    assert message in refused(capsys, "simulate", *build, *options)


def test_a_window_of_waves(build):
    assert run("simulate", *build, "--count", 1, "--waves-cycles", "10:30") == 0
    assert (build[0] / "simulation" / "dump.vcd").stat().st_size


def test_the_bar_shows_cycles_layer_and_time_left(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(simulate, "errors", Console(file=screen, force_terminal=True, width=160))
    with simulate._progress() as report:
        report(0, 5_000, "image 1 of 2, first")
        assert "first" not in screen.getvalue(), "nothing is simulated before it is compiled"
        report(1_234, 5_000, "image 1 of 2, [conv]\x1b[2J")
    text = screen.getvalue()
    assert simulate.COMPILING in text and "1,234 of 5,000 cycles" in text
    assert "image 1 of 2, [conv]\\x1b[2J" in text and ":--:--" in text
