"""`quantflow explore` as a user calls it."""

import json

import pytest

import boards
from boards.sizing import choice
from quantflow import tuned_file
from quantflow.cli import main
from tests.boards.sizing.networks import network, with_room


@pytest.fixture
def explore(tmp_path, monkeypatch):
    """Exit code of `quantflow explore` with some options, on a small board."""
    board = with_room("pynq-z2", dsp=40)
    monkeypatch.setattr(boards, "find", lambda name: board)
    monkeypatch.setattr(choice, "MOST_LOOKED_AT", 6)
    tuned_file.save(network(), tmp_path / "tuned")

    def explore(*options):
        with pytest.raises(SystemExit) as exit_:
            main(["explore", str(tmp_path / "tuned"), "--board", "pynq-z2", *map(str, options)])
        return exit_.value.code

    return explore


def test_table_picture_and_figures(explore, tmp_path, capsys):
    for ending in ("svg", "png", "html"):
        assert explore("--plot", tmp_path / f"field.{ending}", "--json", tmp_path / "field.json") == 0
    shown = capsys.readouterr().out
    figures = json.loads((tmp_path / "field.json").read_text())
    best = [machine for machine in figures["machines"] if machine["pareto"]]
    assert best and all(f"{machine['images_per_second']:,.1f}" in shown for machine in best[:5])
    assert f"{len(best)} of {len(figures['machines'])} machines" in shown
    assert figures["available"]["dsp"] == 40
    assert (tmp_path / "field.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "field.svg").read_text().startswith("<svg")
    page = (tmp_path / "field.html").read_text()
    assert page.startswith("<!doctype html>") and "block RAMs of 140" in page


def test_a_picture_of_another_kind(explore, tmp_path, capsys):
    assert explore("--plot", tmp_path / "field.gif") == 2
    assert "field.gif: a picture's name ends in .svg, .png or .html" in capsys.readouterr().err
    assert not (tmp_path / "field.gif").exists()
