"""The command line as a user meets it: figures under their keys, mistakes in one sentence."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantflow import lenet, tuned_file
from quantflow.cli import main
from tests.quantflow.networks import RandomNetwork

TUNE_KEYS = {"float_top1", "fixed_top1", "agreement", "seconds", "layers"}
LAYER_KEYS = {"name", "weight_bits", "weight_fl", "activation_bits", "activation_fl", "sqnr_db"}
GENERATE_KEYS = {
    "board",
    "config",
    "multipliers",
    "verilog_lines",
    "memory_bytes",
    "batch",
    "estimated_cycles",
    "predicted",
    "clock_mhz",
    "images_per_second",
    "resources",
    "chosen",
    "note",
    "by_hand",
}


def run(*arguments):
    """Exit code of `quantflow` with these arguments."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


def refused(capsys, *arguments):
    """The sentence with which `quantflow` refuses: exit code 2, one line, no traceback."""
    assert run(*arguments) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error and "Traceback" not in error
    return error


@pytest.fixture
def digits(tmp_path):
    """An npz of random images in the shape of digits, with labels."""
    random = np.random.default_rng(1)
    x = random.random((12, 1, 28, 28), np.float32)
    np.savez(tmp_path / "digits.npz", x=x, y=random.integers(0, 10, 12))
    return tmp_path / "digits.npz"


def test_inspect(tmp_path, capsys):
    assert run("inspect", lenet.model_path(), "--json", tmp_path / "i.json") == 0
    figures = json.loads((tmp_path / "i.json").read_text())
    assert figures["macs"] == 416_520 and figures["supported"]
    assert "416,520 MACs" in capsys.readouterr().out


def test_inspect_names_what_is_not_supported(tmp_path, capsys):
    model = onnx.load(lenet.model_path())
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    convolution.attribute.append(onnx.helper.make_attribute("colour", "red"))
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Selu"
    onnx.save(model, tmp_path / "odd.onnx")
    assert run("inspect", tmp_path / "odd.onnx", "--json", tmp_path / "i.json") == 2
    figures = json.loads((tmp_path / "i.json").read_text())
    assert not figures["supported"]
    reasons = {layer["operator"]: layer["verdict"] for layer in figures["layers"] if not layer["supported"]}
    assert "colour" in reasons["Conv"] and "Selu" in reasons
    assert "colour" in refused(capsys, "tune", tmp_path / "odd.onnx", "--calibration", "x.npz", "-o", tmp_path / "t")


def test_tune_then_generate(tmp_path, digits, capsys):
    tuned, build = tmp_path / "tuned", tmp_path / "build"
    options = ("--calibration", digits, "--evaluate", digits, "--weight-bits", 6)
    assert run("tune", lenet.model_path(), *options, "-o", tuned, "--json", tmp_path / "t.json") == 0
    figures = json.loads((tmp_path / "t.json").read_text())
    assert TUNE_KEYS <= set(figures)
    assert (figures["method"], figures["per_channel"]) == ("default", False)
    assert [layer["name"] for layer in figures["layers"]] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert all(LAYER_KEYS <= set(layer) and layer["weight_bits"] == 6 for layer in figures["layers"])
    assert "agreement" in capsys.readouterr().out
    own = ("--board", "pynq-z2", "--config", "board")
    assert run("generate", tuned, *own, "-o", build, "--json", tmp_path / "g.json") == 0
    figures = json.loads((tmp_path / "g.json").read_text())
    assert set(figures) == GENERATE_KEYS
    assert figures["multipliers"] == 384 and figures["config"]["pixels"] == 6
    assert {"accelerator.v", "model.bin", "manifest.json", "summary.txt"} <= {file.name for file in build.iterdir()}
    assert "28" in refused(capsys, "simulate", build, "--images", _save(tmp_path / "small.npz", (2, 1, 9, 9)))


def test_boards(tmp_path, capsys):
    assert run("boards", "--json", tmp_path / "b.json") == 0
    figures = {board["board"]: board for board in json.loads((tmp_path / "b.json").read_text())["boards"]}
    shown = capsys.readouterr().out
    assert {"icebreaker", "pynq-z2", "ulx3s-85f", "zc706"} <= figures.keys()
    assert all(f"{name} " in shown for name in figures)
    assert all(f"{board['multipliers']:,}" in shown and board["title"][:20] in shown for board in figures.values())
    assert figures["pynq-z2"]["multiplier_blocks"] == 192 and figures["pynq-z2"]["resources"]["dsp"] == 220
    assert not figures["pynq-z2"]["open_tools"] and figures["ulx3s-85f"]["open_tools"]
    assert figures["ulx3s-85f"]["memory"]["bytes_per_cycle"] == figures["ulx3s-85f"]["config"]["port_bits"] / 8


@pytest.mark.parametrize("command", ["inspect", "tune", "generate", "simulate", "report", "boards", "demo"])
def test_help_has_examples(command, capsys):
    assert run(command, "--help") == 0
    text = capsys.readouterr().out
    assert "Examples" in text and f"quantflow {command}" in text


def _save(path, shape, value=0.5):
    np.savez(path, x=np.full(shape, value, np.float32))
    return path


def test_models_that_cannot_be_used(tmp_path, digits, capsys):
    def tune(model):
        return refused(capsys, "tune", model, "--calibration", digits, "-o", tmp_path / "t")

    assert "there is no file" in tune(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("This is no model.")
    assert "text.onnx" in tune(tmp_path / "text.onnx")
    (tmp_path / "cut.onnx").write_bytes(lenet.model_path().read_bytes()[:-5000])
    assert "cut.onnx" in tune(tmp_path / "cut.onnx")
    model = onnx.load(lenet.model_path())
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight.flat[3] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, model.graph.initializer[0].name))
    onnx.save(model, tmp_path / "nan.onnx")
    assert "value nan in the weight" in tune(tmp_path / "nan.onnx")
    assert not (tmp_path / "t").exists(), "nothing is written"


def test_images_that_cannot_be_used(tmp_path, capsys):
    def tune(images):
        return refused(capsys, "tune", lenet.model_path(), "--calibration", images, "-o", tmp_path / "t")

    assert "missing.npz" in tune(tmp_path / "missing.npz")
    assert "[N, 1, 28, 28]" in tune(_save(tmp_path / "shape.npz", (3, 3, 32, 32)))
    assert "empty.npz" in tune(_save(tmp_path / "empty.npz", (0, 1, 28, 28)))
    assert "nan.npz" in tune(_save(tmp_path / "nan.npz", (1, 1, 28, 28), np.nan))
    assert not (tmp_path / "t").exists(), "nothing is written"


def test_boards_that_cannot_be_used(tmp_path, capsys):
    big = RandomNetwork(1, (256, 3, 1000)).convolution(8, (3, 3), padding=(1, 1, 1, 1)).finish()  # not even a row fits
    tuned_file.save(big, tmp_path / "big")
    unknown = refused(capsys, "generate", tmp_path / "big", "--board", "zc7006", "-o", tmp_path / "b")
    assert "zc7006" in unknown and "ulx3s-85f, zc706" in unknown and "FILE.py" in unknown
    wide = refused(capsys, "generate", tmp_path / "big", "--board", "ulx3s-85f", "-o", tmp_path / "b")
    assert "of 208 block RAMs are needed" in wide and wide.endswith("it fits zc706")
    own = ("--board", "ulx3s-85f", "--config", "board")
    large = refused(capsys, "generate", tmp_path / "big", *own, "-o", tmp_path / "b")
    assert "conv1" in large and "activation scratchpad" in large and "4096" in large
    nothing = refused(capsys, "generate", tmp_path / "nothing", "--board", "ulx3s-85f", "-o", tmp_path / "b")
    assert "nothing" in nothing
    assert not (tmp_path / "b").exists(), "nothing is written"


def test_bit_widths_out_of_range(tmp_path, digits, capsys):
    options = ("--calibration", digits, "-o", tmp_path / "t", "--weight-bits", 17)
    assert "2 to 16" in refused(capsys, "tune", lenet.model_path(), *options)


@pytest.mark.parametrize("method", ["paper", "max", "mse", "default"])
def test_tuning_methods(tmp_path, digits, method):
    options = ("--calibration", digits, "--weight-bits", 4, "--method", method, "--per-channel")
    assert run("tune", lenet.model_path(), *options, "-o", tmp_path / "t", "--json", tmp_path / "t.json") == 0
    figures = json.loads((tmp_path / "t.json").read_text())
    assert (figures["method"], figures["per_channel"]) == (method, True)
    assert any(isinstance(layer["weight_fl"], list) for layer in figures["layers"])


def test_tuning_methods_that_do_not_exist(tmp_path, digits, capsys):
    options = ("--calibration", digits, "-o", tmp_path / "t", "--method", "best")
    assert "paper, max, mse, default, not best" in refused(capsys, "tune", lenet.model_path(), *options)
    assert not (tmp_path / "t").exists(), "nothing is written"


def test_missing_compiler(tmp_path, digits, capsys, monkeypatch):
    """Without a C++ compiler on the PATH the sentence says what to install."""
    tuned, build = tmp_path / "tuned", tmp_path / "build"
    assert run("tune", lenet.model_path(), "--calibration", digits, "-o", tuned) == 0
    assert run("generate", tuned, "--board", "ulx3s-85f", "-o", build) == 0
    capsys.readouterr()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("QUANTFLOW_CACHE", str(tmp_path / "cache"))
    assert "g++" in refused(capsys, "simulate", build, "--images", digits)
    assert "iverilog" in refused(capsys, "simulate", build, "--images", digits, "--simulator", "icarus")


def test_report_refuses_other_files(tmp_path, capsys):
    (tmp_path / "a.json").write_text("{}")
    other = refused(capsys, "report", *[tmp_path / "a.json"] * 3, "-o", tmp_path / "r.html")
    assert "in this order" in other
    assert "not JSON" in refused(capsys, "report", *[lenet.model_path()] * 3, "-o", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_module_runs():
    """`python -m quantflow.cli` is the command; a mistake ends it with code 2 and one line."""
    command = [sys.executable, "-m", "quantflow.cli", "inspect", "missing.onnx"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
