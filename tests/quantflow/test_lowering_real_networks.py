"""Real trained networks become stages that give the integer engine's integers."""

import numpy as np
import pytest

from benchmarks.shapes import light_path
from quantflow.arithmetic import quantize
from quantflow.compiler.lowering import lower
from quantflow.compiler.stage import blocks
from quantflow.config import Config
from quantflow.importer import load_network
from quantflow.lenet import model_path
from quantflow.tuner.methods import SIGNS
from quantflow.tuner.tune import tune
from tests.data import data_folder
from tests.quantflow.lowered import checked
from tests.quantflow.test_real_networks import NETWORKS, smooth

MACHINE = Config(pixels=4, lanes=16)


def tuned(path, unsigned=False, count=2):
    """The network tuned by the paper's method on a few smooth images, and the images' integers."""
    network = load_network(path)
    images = smooth(np.random.default_rng(3), count, *network.input_shape).astype(np.float32)
    quantized = tune(network, images, method="paper", steps=SIGNS if unsigned else ())
    return quantized, quantize(images, quantized.input)


@pytest.mark.parametrize("unsigned", [False, True], ids=["signed", "unsigned"])
@pytest.mark.parametrize("parts", NETWORKS, ids=lambda parts: parts[1].removesuffix(".onnx"))
def test_they_give_the_same_integers(parts, unsigned):
    quantized, images = tuned(data_folder(*parts), unsigned)
    stages, _, _ = checked(quantized, images, MACHINE)
    assert sum(stage.macs for stage in stages) == quantized.network.macs


def test_the_embedded_lenet():
    stages, _, _ = checked(*tuned(model_path()), Config(pixels=2, lanes=8))
    assert stages[0].pool == (2, 2) and sum(stage.macs for stage in stages) == 416520


def test_resnet20_spends_no_stage_on_its_shortcuts():
    quantized, _ = tuned(data_folder("cifar10_resnet", "resnet20.onnx"))
    stages, _, _ = lower(quantized, MACHINE)
    assert len(stages) == 21 and sum(stage.residual is not None for stage in stages) == 9
    cycles = sum(stage.cycles(MACHINE) for stage in stages)
    assert quantized.network.macs / (cycles * MACHINE.multipliers) > 0.93


def test_depthwise_layers_of_mobilenet_take_nine_steps_for_a_block():
    quantized, _ = tuned(data_folder("mlperf_tiny", "vww_mobilenetv1_025_96.onnx"))
    stages, _, _ = lower(quantized, MACHINE)
    depthwise = [s for s in stages if quantized.network[s.layers[0]].macs and s.block_step]
    assert depthwise and all(stage.steps == 9 for stage in depthwise)
    assert all(stage.output_blocks == blocks(stage.output_shape[0], 16) for stage in depthwise)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet", "resnet50", "inception_v2", "densenet121"])
def test_the_architectures_that_onnx_carries(name):
    """Of constant weights: what counts is that every layer becomes stages that give the same."""
    checked(*tuned(light_path(name), count=1), MACHINE)
