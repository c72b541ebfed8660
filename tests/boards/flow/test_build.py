"""From a build folder to a bitstream: what lies there then, and what does not when something fails."""

import json
from dataclasses import replace

import pytest

import boards
from boards.flow.build import build
from boards.flow.watching import STAGES
from boards.on_chip.top import top_verilog
from boards.system import LiteX, ProcessingSystem
from quantflow.errors import UserError
from tests.boards.flow import fake_commands as fakes
from tests.boards.flow.fake_tools import fake_tools  # noqa: F401
from tests.boards.flow.tiny_build import BOARD, write_tiny_build

LEFT = {"top.bit", "build.json", "timing.json", "utilization.json", "yosys.log", "nextpnr.log", "packer.log"}


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_bitstream_by_the_open_tools(tmp_path):
    """A small design through Yosys, nextpnr and ecppack: what is told is what lies there."""
    folder, seen = tmp_path / "build", []
    manifest = write_tiny_build(folder)
    sources = _names(folder)
    (folder / "failed").mkdir()  # of an earlier try
    figures = build(folder, report=lambda stage, share, what: seen.append(stage))
    assert _names(folder) == sources | {"bitstream"}
    assert LEFT | {"top.v", "board.lpf"} <= _names(folder / "bitstream")
    assert json.loads((folder / "bitstream" / "build.json").read_text()) == json.loads(json.dumps(figures))
    assert tuple(dict.fromkeys(seen)) == STAGES == tuple(figures["seconds"])
    assert figures["board"] == BOARD.name and figures["part"] == BOARD.part.name
    assert figures["met"] and figures["fmax_mhz"] > figures["clock_mhz"] == 50
    cycles = manifest.programs["warm"].estimated_cycles
    assert figures["cycles_per_image"] == cycles
    assert figures["images_per_second"] == pytest.approx(50e6 / cycles, abs=0.01)
    assert figures["bitstream_bytes"] == (folder / "bitstream" / "top.bit").stat().st_size > 10_000
    used, available = figures["resources"]["used"], figures["resources"]["available"]
    assert available == vars(BOARD.resources)
    assert used["dsp"] == 1 and used["block_ram"] == 1 and 16 <= used["ff"] < 150 and used["lut"] > 32
    path = figures["critical_path"]
    assert {"register", "block RAM", "multiplier"} >= {path[0]["cell_kind"], path[-1]["cell_kind"]}
    assert sum(step["ns"] for step in path) == pytest.approx(1e3 / figures["fmax_mhz"], rel=0.01)
    assert json.loads((folder / "bitstream" / "utilization.json").read_text())["DP16KD"]["used"] == 1


@pytest.mark.usefixtures("fake_tools")
class TestWithStandIns:
    def test_the_fastest_seed_is_kept(self, tmp_path):
        folder = tmp_path / "build"
        write_tiny_build(folder)
        figures = build(folder, seeds=(1, 2, 3))
        assert (folder / "bitstream" / "top.bit").read_text() == "packed seed 2\n"
        assert figures["seed"] == 2 and figures["fmax_mhz"] == fakes.MHZ[2]
        assert figures["resources"]["used"]["dsp"] == 2
        assert {run["seed"]: run["fmax_mhz"] for run in figures["seeds"]} == {n: fakes.MHZ[n] for n in (1, 2, 3)}
        assert not any(name.startswith("seed") for name in _names(folder / "bitstream"))

    def test_a_router_that_goes_round_in_circles(self, tmp_path):
        """It is stopped, and the next one routes the design."""
        folder = tmp_path / "build"
        write_tiny_build(folder)
        plain, circling = build(folder, seeds=(1,)), build(folder, seeds=(fakes.CIRCLING,), force=True)
        assert (plain["router"], circling["router"]) == ("--router router1", "--router router2 --tmg-ripup")
        assert circling["fmax_mhz"] == fakes.MHZ[fakes.CIRCLING] and circling["seconds"]["routing"] >= 0
        assert "remain" not in (folder / "bitstream" / "nextpnr.log").read_text()

    def test_missed_timing_leaves_what_was_there(self, tmp_path):
        """No bitstream; the one of an earlier run stays; the reports of this run lie in `failed`."""
        folder = tmp_path / "build"
        write_tiny_build(folder)
        build(folder, seeds=(1,))
        figures = build(folder, seeds=(3, 4))
        assert not figures["met"] and figures["bitstream"] is None and figures["images_per_second"] is None
        assert (folder / "bitstream" / "top.bit").read_text() == "packed seed 1\n"
        assert json.loads((folder / "bitstream" / "build.json").read_text())["seed"] == 1
        assert json.loads((folder / "failed" / "build.json").read_text())["seed"] == 3
        assert "top.bit" not in _names(folder / "failed") and "nextpnr.log" in _names(folder / "failed")
        assert "from cell a to cell b: 20.8 ns, 0.5 in logic and 20.3 in routing" in figures["advice"]
        assert "--clock 48" in figures["advice"] and "48.00 MHz" in figures["advice"]

    def test_a_bitstream_that_misses_timing_by_force(self, tmp_path):
        folder = tmp_path / "build"
        write_tiny_build(folder)
        figures = build(folder, seeds=(3,), force=True)
        assert not figures["met"] and figures["bitstream"] == "top.bit" and figures["images_per_second"] is None
        assert (folder / "bitstream" / "top.bit").exists() and not (folder / "failed").exists()

    def test_another_clock(self, tmp_path):
        """The PLL is set again, next to the bitstream; what was generated stays as it is."""
        folder = tmp_path / "build"
        write_tiny_build(folder)
        before = (folder / "top.v").read_text()
        figures = build(folder, clock_mhz=41.7)
        assert figures["clock_mhz_asked"] == 41.7 and 41 < figures["clock_mhz"] <= 41.7
        assert (folder / "bitstream" / "top.v").read_text() == top_verilog(replace(BOARD, clock_mhz=41.7), 41.7)
        assert (folder / "top.v").read_text() == before != (folder / "bitstream" / "top.v").read_text()
        assert figures["images_per_second"] == pytest.approx(figures["clock_mhz"] * 1e6 / figures["cycles_per_image"])

    def test_a_clock_that_cannot_be_made(self, tmp_path):
        folder = tmp_path / "build"
        write_tiny_build(folder)
        with pytest.raises(UserError, match="1 MHz cannot be made"):
            build(folder, clock_mhz=1)
        assert not (folder / "failed").exists() and not (folder / "bitstream").exists()

    def test_a_design_that_does_not_fit(self, tmp_path):
        folder = tmp_path / "build"
        write_tiny_build(folder)
        sentence = "^the design does not fit LFE5U-85F-6BG381C: it takes 240 DP16KD of 208; generate a smaller machine$"
        with pytest.raises(UserError, match=sentence):
            build(folder, seeds=(fakes.UNROUTABLE,))
        assert not (folder / "bitstream").exists() and (folder / "failed" / "yosys.log").exists()
        assert not [name for name in _names(folder) if name.startswith(".")]

    def test_a_missing_source(self, tmp_path):
        folder = tmp_path / "build"
        write_tiny_build(folder)
        (folder / "system.v").unlink()
        with pytest.raises(UserError, match="build has no system.v: generate the build again$"):
            build(folder)


def test_verilog_that_is_no_verilog(tmp_path):
    folder = tmp_path / "build"
    write_tiny_build(folder)
    (folder / "system.v").write_text("module system(;")
    with pytest.raises(UserError, match="^Yosys could not synthesize the design: .*system.v"):
        build(folder)
    assert not (folder / "bitstream").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "tang-nano-20k"])
def test_other_families(tmp_path, name):
    """The small design becomes a bitstream for iCE40 and Gowin, too."""
    folder = tmp_path / "build"
    board = replace(boards.find(name), config=BOARD.config)
    write_tiny_build(folder, board)
    figures = build(folder)
    assert figures["met"] and figures["clock_mhz"] <= board.clock_mhz
    assert (folder / "bitstream" / figures["bitstream"]).stat().st_size == figures["bitstream_bytes"] > 10_000
    used = figures["resources"]["used"]
    assert used["dsp"] == 1 and used["block_ram"] == 1 and used["ff"] > 16 and used["lut"] > 16


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (ProcessingSystem, "^Vivado makes the bitstream of .*: run `vivado -mode batch -source build.tcl` in .*build$"),
        (LiteX, "^LiteX makes the bitstream of .*: run `python example.py . --build` in .*build$"),
    ],
)
def test_boards_whose_bitstream_is_made_elsewhere(tmp_path, kind, sentence):
    folder = tmp_path / "build"
    board = next(board for board in boards.all_boards() if type(board.system) is kind)
    write_tiny_build(folder, replace(board, config=BOARD.config))
    with pytest.raises(UserError, match=sentence):
        build(folder)
    assert "bitstream" not in _names(folder) and "failed" not in _names(folder)


def test_no_build_folder(tmp_path):
    with pytest.raises(UserError, match="is no build folder"):
        build(tmp_path / "nothing")
