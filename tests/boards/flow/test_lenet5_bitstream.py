"""LeNet-5's bitstream for the ULX3S, by the open tools alone."""

import pytest

import boards
from boards.flow.build import build
from boards.project import write_project
from quantflow import lenet
from quantflow.compiler import compile_network
from quantflow.importer import load_network
from quantflow.tuner.tune import tune


@pytest.mark.slow
def test_lenet5_runs_at_60_mhz_on_the_ulx3s(tmp_path):
    """The whole design, with memory and serial link, meets the board's own clock."""
    board, folder = boards.find("ulx3s-85f"), tmp_path / "build"
    quantized = tune(load_network(lenet.model_path()), lenet.demo_images()[0][0])
    write_project(compile_network(quantized, board.config), quantized, board, folder)
    figures = build(folder)
    assert figures["met"] and figures["fmax_mhz"] >= figures["clock_mhz"] >= 60
    used = figures["resources"]["used"]
    assert board.config.multipliers <= used["dsp"] and all(used[name] <= vars(board.resources)[name] for name in used)
    assert figures["bitstream_bytes"] > 100_000 and figures["images_per_second"] > 5_000
