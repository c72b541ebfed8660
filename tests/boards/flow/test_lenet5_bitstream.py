"""LeNet-5's bitstreams, by the open tools alone."""

import pytest

import boards
from boards.flow.build import build
from boards.project import write_project
from quantflow import lenet
from quantflow.compiler import compile_network
from quantflow.importer import load_network
from quantflow.tuner.tune import tune


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mhz", "images", "size"), [("ulx3s-85f", 60, 5_000, 100_000), ("icebreaker", 18, 100, 100_000)]
)
def test_lenet5(name, mhz, images, size, tmp_path):
    """The whole design, with memory and serial link, fits the part and meets the board's own clock."""
    board, folder = boards.find(name), tmp_path / "build"
    quantized = tune(load_network(lenet.model_path()), lenet.demo_images()[0][0])
    write_project(compile_network(quantized, board.config), quantized, board, folder)
    figures = build(folder)
    assert figures["met"] and figures["fmax_mhz"] >= figures["clock_mhz"] >= mhz
    used = figures["resources"]["used"]
    assert board.config.multipliers <= used["dsp"] and all(used[name] <= vars(board.resources)[name] for name in used)
    assert figures["bitstream_bytes"] > size and figures["images_per_second"] > images
