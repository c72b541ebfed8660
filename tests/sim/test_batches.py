"""Batches of images on the simulated machine: every image compared, and the wrong one named."""

from dataclasses import replace

import numpy as np
import pytest

import boards
from boards.project import write_project
from quantflow import isa
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import MODEL, TRACE, Manifest
from quantflow.seal import seal
from sim.inference import simulate
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(
    pixels=4, lanes=4, requantizers=2, port_bits=32, activation_depth=512, weight_depth=64, parameter_depth=16
)
BOARD = replace(boards.find("ulx3s-85f"), config=CONFIG)
BATCH, IMAGES = 3, 5


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Deployment, build folder and images: convolutions image by image, streamed weights shared at the end."""
    network = RandomNetwork(11, (3, 8, 9)).convolution(6, (3, 3)).pool((2, 2))
    quantized = network.dense(21).dense(10, relu=False).finish()
    deployment = compile_network(quantized, CONFIG, batch=BATCH)
    folder = tmp_path_factory.mktemp("batches") / "build"
    write_project(deployment, quantized, BOARD, folder)
    return deployment, folder, dequantize(network.images(IMAGES), quantized.input)


def test_every_image_is_right_and_the_last_batch_need_not_be_full(system):
    _, folder, images = system
    calls = []
    result = simulate(folder, images, progress=lambda *call: calls.append(call))
    assert result.bit_exact, result.first_mismatch
    assert result.images == len(result.outputs) == IMAGES and len(result.image_cycles) == 2
    assert len({output.tobytes() for output in result.outputs}) == IMAGES
    assert result.cycles_per_image == pytest.approx(np.mean(result.image_cycles) / BATCH)
    assert sum(layer.cycles for layer in result.layers) == pytest.approx(result.cycles_per_image)
    assert sum(layer.macs for layer in result.layers) == pytest.approx(result.macs)
    for program, cycles in zip(result.programs, result.image_cycles, strict=True):
        assert Manifest.read(folder).programs[program].estimated_cycles == pytest.approx(cycles, rel=0.05)
    assert calls[0][2].startswith("batch 1 of 2, conv1")


def test_the_wrong_image_is_named(system):
    """Only the second image's convolution has another bound."""
    deployment, folder, images = system
    before, trace = ((folder / name).read_bytes() for name in (MODEL, TRACE))
    model = bytearray(before + trace)
    for program in deployment.programs.values():
        for number, label in enumerate(program.labels):
            instruction = program.instructions[number]
            if instruction.opcode == isa.Opcode.COMPUTE and label.startswith("conv1+pool2 of image 1"):
                word = isa.encode(replace(instruction, least=100), CONFIG)
                data = seal(word, CONFIG, last=number == program.length - 1)
                start = program.offset + number * len(data)
                model[start : start + len(data)] = data
    assert not model.startswith(before) and not model.endswith(trace)
    (folder / MODEL).write_bytes(model[: len(before)])
    (folder / TRACE).write_bytes(model[len(before) :])
    try:
        result = simulate(folder, images, count=BATCH)
    finally:
        (folder / MODEL).write_bytes(before)
        (folder / TRACE).write_bytes(trace)
    assert result.mismatches == 1 and result.first_mismatch.startswith("image 1: layer pool2, channel ")
