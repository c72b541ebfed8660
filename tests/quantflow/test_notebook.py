"""Five lines in a notebook, from a model to figures of the simulated accelerator."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import quantflow
from quantflow import integer_engine, lenet, load, notebook, simulate, tune
from quantflow.errors import UserError
from quantflow.graph import Network
from quantflow.quantized import QuantizedNetwork
from quantflow.tuned_file import save
from quantflow.tuner.tune import tune as tune_function
from tests.quantflow.onnx_graphs import saved
from tests.quantflow.quantized_models import Model
from tests.quantflow.tuned_folders import assert_equal


@pytest.fixture
def digits():
    return np.random.default_rng(1).random((6, 1, 28, 28), np.float32)


def test_the_five_lines(tmp_path, digits):
    model = Model(("N", 3, 8, 7))
    model.conv(model.node("Relu", model.conv("x", model.rng.normal(size=(4, 3, 3, 3)).astype("f4"))), kernel(2, 4))
    path = saved(model.proto, tmp_path)
    images = model.images(4)
    board = small_board()

    network = load(path)
    tuned = tune(network, images, weight_bits=6)
    result = simulate(tuned, images[:2], board)

    assert result and result.figures["images"] == 2
    last = network.layers[-1].name
    assert np.array_equal(result.outputs, integer_engine.run(tuned, images[:2], keep=False)[last])
    html, text = result._repr_html_(), repr(result)
    for shown in (html, text):
        assert f"{network.name} on ulx3s-85f: bit-exact 2 of 2 images" in shown
        assert all(layer.name in shown for layer in network.layers) and "whole inference" in shown
        assert f"{round(result.figures['cycles_per_image']):,}" in shown
    assert html.count("<tr>") == len(network.layers) + 2


def kernel(*shape):
    return np.random.default_rng(2).normal(size=(*shape, 3, 3)).astype(np.float32)


def small_board():
    import boards
    from quantflow.config import Config

    config = Config(pixels=3, lanes=4, port_bits=32, activation_depth=256, weight_depth=256, parameter_depth=16)
    return replace(boards.find("ulx3s-85f"), config=config)


def test_files_in_place_of_objects(tmp_path, digits):
    np.savez(tmp_path / "digits.npz", x=digits)
    network = load(str(lenet.model_path()))
    assert isinstance(network, Network)
    tuned = tune(lenet.model_path(), tmp_path / "digits.npz", method="paper", per_channel=True)
    assert isinstance(tuned, QuantizedNetwork)
    assert_equal(tuned, tune_function(network, digits, method="paper", per_channel=True))
    assert tuned.tuning["per_channel"]
    save(tuned, tmp_path / "tuned")
    assert_equal(load(tmp_path / "tuned"), tuned)


def test_progress_may_be_ones_own(digits):
    seen = []
    tune(load(lenet.model_path()), digits, method="max", progress=lambda *step: seen.append(step))
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_a_mismatch_is_shown():
    figures = {
        "images": 3, "mismatches": 1, "bit_exact": False, "macs": 5000, "cycles_per_image": 1234.4,
        "utilization": 0.5, "layers": [{"name": "pool", "macs": 0, "cycles": 10, "utilization": 0.0}],
    }  # fmt: skip
    names = {"network": "net", "board": "zc706"}
    result = notebook.Simulation(**names, figures=figures, outputs=np.zeros(1), first_mismatch="image 1: here")
    assert not result
    lines = repr(result).splitlines()
    assert lines[0] == "net on zc706: bit-exact 2 of 3 images; first mismatch: image 1: here"
    assert lines[2].split() == ["pool", "0", "10"]
    assert lines[3].split() == ["whole", "inference", "5,000", "1,234", "50.0", "%"]


def test_a_missing_simulator_is_said_in_one_sentence(digits, monkeypatch):
    tuned = tune(load(lenet.model_path()), digits, method="max")
    monkeypatch.setitem(sys.modules, "sim.inference", None)
    with pytest.raises(UserError, match=r"^simulation needs sim.inference: pip install 'quantflow\[simulate\]'$"):
        simulate(tuned, digits)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import quantflow", {"numpy", "onnx", "amaranth", "cocotb", "quantflow.tuner"}),
        ("from quantflow import load, tune, simulate", {"amaranth", "cocotb", "hdl", "sim", "boards"}),
        ("import quantflow.tuner.tune", {"amaranth", "cocotb", "onnx"}),
    ],
)
def test_importing_stays_light(code, absent):
    code += "; import sys; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(modules)


def test_an_attribute_that_does_not_exist():
    with pytest.raises(AttributeError, match="module 'quantflow' has no attribute 'simulated'"):
        _ = quantflow.simulated
