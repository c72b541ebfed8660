"""`quantflow generate --batch`: builds whose runs compute several images, on a small machine."""

import json
from dataclasses import replace

import pytest

import boards
from quantflow import tuned_file
from quantflow.cli import app
from quantflow.config import Config
from quantflow.manifest import SUMMARY, Manifest
from tests.quantflow.networks import RandomNetwork

BOARD = replace(boards.find("ulx3s-85f"), config=Config(pixels=3, lanes=2, port_bits=32, weight_depth=128))


@pytest.fixture
def figures_of(tmp_path, monkeypatch):
    """Generates with these options; returns the figures, and the build folder."""
    monkeypatch.setattr(boards, "find", lambda name: BOARD)
    network = RandomNetwork(1, (2, 5, 5)).convolution(4, (2, 2)).dense(30).dense(9, relu=False)
    tuned_file.save(network.finish(), tmp_path / "tuned")

    def generate(*options):
        json_file, build = tmp_path / "g.json", tmp_path / "build"
        board = ("--board", "small", "--config", "board")
        arguments = ["generate", tmp_path / "tuned", *board, "-o", build, "--json", json_file, *options]
        app(list(map(str, arguments)), standalone_mode=False)
        return json.loads(json_file.read_text()), build

    return generate


def test_a_batch_takes_fewer_cycles_per_image(figures_of, capsys):
    one, _ = figures_of()
    capsys.readouterr()
    three, build = figures_of("--batch", 3)
    assert "a run of 3 images" in capsys.readouterr().out and "for 3 images" in (build / SUMMARY).read_text()
    manifest = Manifest.read(build)
    assert (one["batch"], three["batch"], manifest.batch) == (1, 3, 3)
    assert 3 * three["estimated_cycles"] >= manifest.programs["cold"].estimated_cycles
    assert three["estimated_cycles"] < 0.9 * one["estimated_cycles"]


def test_what_a_board_warns_of_is_shown(figures_of, capsys, monkeypatch):
    """A board's note stands in the figures, on the terminal and in the summary; nothing where it has none."""
    plain, _ = figures_of()
    assert plain["note"] == "" and "note:" not in capsys.readouterr().out
    monkeypatch.setattr(boards, "find", lambda name: replace(BOARD, note="It needs a fan."))
    warned, build = figures_of()
    assert warned["note"] == "It needs a fan." and "note: It needs a fan." in capsys.readouterr().out
    assert "Note: It needs a fan." in (build / SUMMARY).read_text()
