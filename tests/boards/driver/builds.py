"""Build folders for the driver's tests: LeNet-5 with real digits, and a small random network, on one machine."""

from dataclasses import replace
from functools import cache
from unittest.mock import patch

import numpy as np

import boards
from boards.project import write_project
from hdl.accelerator import accelerator_verilog
from quantflow import integer_engine, lenet
from quantflow.arithmetic import dequantize, quantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.importer import load_network
from quantflow.tuner.tune import tune
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(
    pixels=4, lanes=4, port_bits=32, ports=2, burst_beats=16, activation_depth=1024, weight_depth=4096,
    parameter_depth=128, watchdog_cycles=2000,
)  # fmt: skip
VERILOG = cache(accelerator_verilog)  # of many builds for the same machine
IMAGES = "images.npz"  # in a build folder: x, float images; expected, the integer engine's outputs; y, labels


def lenet_build(folder, count, *, weight_bits=8, **options):
    """LeNet-5, with the first `count` of the demonstration's digits."""
    _, (x, y) = lenet.demo_images()
    return _build(folder, tuned_lenet(weight_bits), x[:count], y[:count], **options)


@cache
def tuned_lenet(weight_bits):
    return tune(load_network(lenet.model_path()), lenet.demo_images()[0][0], weight_bits=weight_bits)


def small_network(bits=8):
    """A RandomNetwork for which there are instructions of every kind."""
    network = RandomNetwork(5, (2, 9, 8), activation_bits=bits)
    return network.convolution(6, (3, 3), padding=(1, 1, 1, 1)).pool((2, 2)).dense(7, relu=False)


def small_build(folder, count, **options):
    """The small network, with random images."""
    network = small_network()
    quantized = network.finish()
    images = dequantize(network.images(count), quantized.input)
    return _build(folder, quantized, images, np.zeros(count), **options)


def _build(folder, quantized, x, y, *, board="pynq-z2", batch=1, config=CONFIG):
    """`batch` images are computed in a run."""
    deployment, board = compile_network(quantized, config, batch), replace(boards.find(board), config=config)
    with patch("boards.project.accelerator_verilog", VERILOG):
        write_project(deployment, quantized, board, folder)
    expected = integer_engine.run_integers(quantized, quantize(x, quantized.input))
    np.savez(folder / IMAGES, x=x, y=y, expected=expected[quantized.network.layers[-1].name])
    return folder
