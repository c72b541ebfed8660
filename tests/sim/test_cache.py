"""The cache of built simulations: only what runs is kept, and what was used last."""

import os

import pytest

from sim import cache, simulator

SOURCE = "module wire_through(input a, output b); assign b = a; endmodule\n"
DAY = 86400


def _build(folder, *, used, size):
    folder.mkdir(parents=True)
    (folder / "top").write_bytes(bytes(size))
    os.utime(folder, (used, used))


def test_the_longest_unused_is_removed_first(tmp_path):
    """Until the rest is small enough; what was just used stays, however large."""
    for age, name in enumerate(("now", "yesterday", "before", "long ago")):
        _build(tmp_path / name, used=cache.time.time() - age * DAY, size=1000)
    cache.remove_oldest(tmp_path, most_bytes=2500)
    assert {folder.name for folder in tmp_path.iterdir()} == {"now", "yesterday"}
    cache.remove_oldest(tmp_path, most_bytes=10)
    assert {folder.name for folder in tmp_path.iterdir()} == {"now"}


def test_used_again(tmp_path):
    _build(tmp_path / "old", used=0, size=1000)
    _build(tmp_path / "newer", used=DAY, size=1000)
    assert cache.use(tmp_path / "old") and not cache.use(tmp_path / "other")
    cache.remove_oldest(tmp_path, most_bytes=1500)
    assert {folder.name for folder in tmp_path.iterdir()} == {"old"}


def test_the_same_build_twice(tmp_path):
    """The one that was finished first stays, and no folder of the other."""
    for name in ("done", "partial"):
        _build(tmp_path / name, used=0, size=5)
    cache.keep(tmp_path / "partial", tmp_path / "done", file="top")
    assert [folder.name for folder in tmp_path.iterdir()] == ["done"]


@pytest.mark.parametrize("name", ["verilator", "icarus"])
def test_a_build_keeps_only_its_program(monkeypatch, tmp_path, name):
    """A build of Verilator's leaves 160 MB of headers and objects behind."""
    if name == "icarus" and simulator.shutil.which("iverilog") is None:
        pytest.skip("needs iverilog on the PATH")
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))
    folder = simulator.build(SOURCE, top="wire_through", simulator=name).folder
    assert [file.name for file in folder.iterdir()] == ["wire_through" if name == "verilator" else "sim.vvp"]
