"""Trained networks, and VGG-16's shape, compiled for machines of useful sizes and emulated."""

import time

import numpy as np
import pytest

from benchmarks import shapes
from quantflow import integer_engine
from quantflow.arithmetic import quantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles.array import compute_cycles
from quantflow.importer import load_network
from quantflow.isa import Opcode
from quantflow.tuner.methods import SIGNS
from quantflow.tuner.tune import tune
from tests.data import data_folder
from tests.quantflow.compiled import check, result, run

MACHINE = {"pixels": 4, "lanes": 16, "port_bits": 128, "accumulator_bits": 40}
ROOMY = {"activation_depth": 8192, "weight_depth": 2048, "parameter_depth": 128}
TINY = {"activation_depth": 900, "weight_depth": 128, "parameter_depth": 10}
VGG = {"pixels": 7, "lanes": 16, "requantizers": 3, "port_bits": 256, "accumulator_bits": 40, "parameter_depth": 256}


@pytest.fixture(scope="module")
def tuned():
    """Networks tuned quickly, on noise, by name."""
    found = {}

    def of(*parts):
        if parts not in found:
            network = load_network(data_folder(*parts))
            images = np.random.default_rng(0).normal(size=(8, *network.input_shape)).astype(np.float32)
            quantized = tune(network, images, method="paper", steps=SIGNS)
            found[parts] = quantized, images[:2], integer_engine.run(quantized, images[:2])
        return found[parts]

    return of


@pytest.mark.parametrize("depths", [ROOMY, TINY], ids=["roomy", "tiny"])
@pytest.mark.parametrize(
    "parts",
    [
        ("cifar10_resnet", "resnet20.onnx"),
        ("imagenet", "mobilenet_v1_0.25_128.onnx"),
        ("mlperf_tiny", "ic_resnet8_cifar10.onnx"),
        ("mlperf_tiny", "kws_dscnn.onnx"),
        ("mlperf_tiny", "ad_autoencoder.onnx"),
        ("mnist", "lenet_caffe.onnx"),
    ],
    ids=lambda parts: parts[1].removesuffix(".onnx"),
)
def test_trained_networks_equal_the_integer_engine(parts, depths, tuned):
    quantized, images, expected = tuned(*parts)
    deployment = compile_network(quantized, Config(**MACHINE | depths))
    check(deployment, [quantize(image, quantized.input) for image in images], expected)


def lost(deployment, program):
    """Array cycles beyond the multiplications, and instructions that wait for the pipeline, of a program."""
    words = [word for word in deployment.programs[program].instructions if word.opcode == Opcode.COMPUTE]
    array = sum(compute_cycles(word, deployment.config) for word in words)
    assert array == sum(stage.array_cycles for stage in deployment.stages)
    return array, sum(not word.overlaps for word in words)


def test_resnet20_loses_few_array_cycles(tuned):
    quantized, _, _ = tuned("cifar10_resnet", "resnet20.onnx")
    deployment = compile_network(quantized, Config(**MACHINE | ROOMY))
    array, waiting = lost(deployment, "warm")
    assert deployment.macs / deployment.config.multipliers / array > 0.93
    assert waiting <= 3  # the first one, and those behind the average


@pytest.mark.parametrize("depth", [8192, 12288])
def test_vgg16_compiles_quickly_and_keeps_the_array_busy(depth):
    quantized = shapes.with_random_integers(shapes.load("vgg16_conv"))
    start = time.perf_counter()
    deployment = compile_network(quantized, Config(**VGG, activation_depth=depth, weight_depth=2048))
    assert time.perf_counter() - start < 60
    array, waiting = lost(deployment, "cold")
    assert deployment.macs / deployment.config.multipliers / array > 0.99
    assert waiting == 1
    moved = sum(deployment.programs["cold"].bytes_moved.values())
    assert moved / 28 < 0.25 * array  # bytes a cycle that the memory moves


@pytest.mark.slow
def test_vgg16_equals_the_integer_engine():
    quantized = shapes.with_random_integers(shapes.load("vgg16_conv"))
    deployment = compile_network(quantized, Config(**VGG, activation_depth=8192, weight_depth=2048))
    images = np.random.default_rng(0).integers(-128, 128, (1, 3, 224, 224), dtype=np.int32)
    expected = integer_engine.run_integers(quantized, images, keep=True)
    emulator = run(deployment, images[0], "trace")
    compared = [
        np.testing.assert_array_equal(result(emulator, trace, offset), expected[trace.name][0], trace.name)
        for trace, offset in zip(deployment.traces, deployment.trace_offsets, strict=True)
        if trace.name in expected
    ]
    assert len(compared) == 13
