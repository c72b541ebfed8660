"""Batches of images in one program: emulated programs equal the integer engine, and weights are read once."""

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.arithmetic import quantize
from quantflow.compiler import compile_network
from quantflow.compiler.batching import batched
from quantflow.compiler.lowering import lower
from quantflow.config import Config
from quantflow.cycles import MemoryTiming, estimate
from quantflow.errors import UserError
from quantflow.importer import load_network
from quantflow.tuner.methods import SIGNS
from quantflow.tuner.tune import tune
from tests.data import data_folder
from tests.quantflow.compiled import check_batch
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.random_dags import random_dag

MACHINES = {
    "P=4": {"pixels": 4, "lanes": 8},
    "P=2, R=2, streamed": {"pixels": 2, "lanes": 4, "requantizers": 2, "weight_depth": 160, "parameter_depth": 16},
    "P=4, R=4": {"pixels": 4, "lanes": 4, "requantizers": 4},
    "P=3, tiny": {"pixels": 3, "lanes": 4, "activation_depth": 500, "weight_depth": 80, "parameter_depth": 6},
}


def machine(name):
    return Config(**{"port_bits": 32, "accumulator_bits": 44, "activation_depth": 8192} | MACHINES[name])


def autoencoder():
    return RandomNetwork(1, (40, 1, 1)).dense(30).dense(8).dense(40, relu=False)


def lenet():
    network = RandomNetwork(2, (1, 16, 16)).convolution(6, (5, 5)).pool((2, 2)).convolution(9, (3, 3)).pool((2, 2))
    return network.dense(21).dense(10, relu=False)


def with_branches():
    """The map that a fully connected layer reads, and its result, are read by others too."""
    network = RandomNetwork(3, (5, 6, 7)).convolution(7, (3, 3))
    wide = network.last
    hidden = network.dense(9, source=wide).last
    network.convolution(9, (4, 5), source=wide, residual=hidden)
    return network.concat(hidden).dense(6)


def pooled():
    """A global average in front of the fully connected layer, as residual networks have it."""
    network = RandomNetwork(4, (6, 7, 7)).convolution(12, (3, 3), padding=(1, 1, 1, 1))
    before = network.last
    network.convolution(12, (3, 3), padding=(1, 1, 1, 1), residual=before)
    return network.average_pool((7, 7)).dense(10, relu=False)


def in_time():
    """Maps of one column: all layers compute all images together."""
    network = RandomNetwork(5, (5, 20, 1)).convolution(9, (3, 1), (2, 1), (1, 0, 1, 0)).pool((2, 1))
    return network.convolution(6, (2, 1)).dense(7)


def convolutions_only():
    return RandomNetwork(6, (3, 9, 9)).convolution(9, (3, 3), (2, 2)).pool((2, 2)).convolution(8, (2, 1), relu=False)


NETWORKS = (autoencoder, lenet, with_branches, pooled, in_time, convolutions_only)


def check(network, config, batch):
    quantized, images = network.finish(), network.images(batch)
    deployment = compile_network(quantized, config, batch=batch)
    assert deployment.batch == batch
    check_batch(deployment, images, integer_engine.run_integers(quantized, images, keep=True))
    return deployment


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_all_images_equal_the_integer_engine(network, name):
    config = machine(name)
    for batch in sorted({1, 2, 3, config.pixels, config.pixels + 1}):
        check(network(), config, batch)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_with_fully_connected_ends(seed):
    """What is refused for one image is refused for several."""
    config = machine(list(MACHINES)[seed % 3])
    try:
        compile_network(random_dag(seed).dense(11).dense(5, relu=False).finish(), config)
    except UserError:
        with pytest.raises(UserError, match="fewer requantizers"):
            check(random_dag(seed).dense(11).dense(5, relu=False), config, 2)
        return
    for batch in (3, config.pixels):
        check(random_dag(seed).dense(11).dense(5, relu=False), config, batch)


@pytest.mark.parametrize("network", [autoencoder, lenet, pooled, in_time, convolutions_only])
def test_a_batch_reads_each_weight_once(network):
    """Streamed or not, as long as the words of a repeated layer fit on chip; and each is kept in memory once."""
    for options in ({}, {"weight_depth": 80}):
        config = Config(pixels=4, lanes=8, port_bits=32, activation_depth=4096, **options)
        one, four = (compile_network(network().finish(), config, batch=batch) for batch in (1, 4))
        assert ("warm" in one.programs) == ("warm" in four.programs)
        for cause in ("weights", "parameters"):
            assert four.programs["cold"].bytes_moved[cause] == one.programs["cold"].bytes_moved[cause]
        assert four.macs == one.macs


def test_fully_connected_layers_take_as_long_for_p_images_as_for_one():
    config = Config(pixels=4, lanes=8, port_bits=32)
    cycles = [
        [stage.array_cycles for stage in compile_network(autoencoder().finish(), config, batch=batch).stages]
        for batch in (1, 4, 5)
    ]
    assert cycles[0] == cycles[1]
    assert cycles[2] == [2 * stage for stage in cycles[0]]


@pytest.mark.parametrize(("network", "alone"), [(autoencoder, 0), (lenet, 4), (pooled, 3), (in_time, 0)])
def test_stages_repeated_for_each_image(network, alone):
    deployment = compile_network(network().finish(), machine("P=4"), batch=3)
    single = compile_network(network().finish(), machine("P=4"))
    repeated = [stage for stage in deployment.stages if " of image " in stage.name]
    assert len(repeated) == 3 * alone
    assert len(deployment.stages) == len(single.stages) + 2 * alone


def test_maps_that_do_not_fit_side_by_side_are_read_image_by_image():
    """The fully connected layer's map fits for one image, and those of three images only in memory."""
    network = RandomNetwork(7, (8, 12, 12)).convolution(16, (3, 3), padding=(1, 1, 1, 1)).dense(9).dense(5)
    config = Config(pixels=2, lanes=8, port_bits=32, activation_depth=340, weight_depth=512)
    deployment = check(network, config, 3)
    assert sum(" of image " in stage.name for stage in deployment.stages) == 6  # convolution, first dense layer


@pytest.mark.parametrize("requantizers", [1, 2, 4])
def test_what_a_cycle_writes_goes_to_different_banks(requantizers):
    config = Config(pixels=4, lanes=4, requantizers=requantizers)
    stages, maps, _ = lower(lenet().finish(), config)
    ends = stages[0].source.map, stages[-1].destination.map
    found = batched(stages, maps, *ends, config, 4, by_layer=True, wide=True)
    written = [stage.destination for stage in found.stages if stage.destination.column_step > 1]
    assert len(written) == 4
    for view in written:
        banks = [(view.first_column + x * view.column_step) % 4 for x in range(4)]
        cycles = [banks[cycle :: config.drain_cycles] for cycle in range(config.drain_cycles)]
        assert all(len(set(cycle)) == len(cycle) for cycle in cycles)


def test_images_are_packed_and_unpacked_in_order():
    deployment = compile_network(convolutions_only().finish(), machine("P=4"), batch=3)
    random = np.random.default_rng(0)
    for transfer in (deployment.output, compile_network(lenet().finish(), machine("P=4"), batch=3).output):
        integers = random.integers(-128, 128, (3, *transfer.shape))
        np.testing.assert_array_equal(transfer.unpack(transfer.pack(integers).tobytes()), integers)
        with pytest.raises(ValueError, match="has the shape"):
            transfer.pack(integers[0])


@pytest.mark.parametrize(
    ("parts", "gain"), [(("mlperf_tiny", "ad_autoencoder.onnx"), 3.9), (("mnist", "lenet_caffe.onnx"), 2.7)]
)
def test_trained_networks_with_streamed_weights_gain(parts, gain):
    """With P images a run: nearly P times where all layers are fully connected, what their share allows elsewhere."""
    network = load_network(data_folder(*parts))
    images = np.random.default_rng(0).normal(size=(4, *network.input_shape)).astype(np.float32)
    quantized = tune(network, images, method="paper", steps=SIGNS)
    config = Config(pixels=4, lanes=8, accumulator_bits=32, activation_depth=2048, weight_depth=512)
    one, four = (compile_network(quantized, config, batch=batch) for batch in (1, 4))
    assert "warm" not in one.programs
    integers = quantize(images, quantized.input)
    check_batch(four, integers, integer_engine.run_integers(quantized, integers, keep=True), seeds=(0,))
    assert estimate(one, MemoryTiming()).cycles > gain * estimate(four, MemoryTiming()).cycles / 4


def test_batches_of_no_images_are_refused():
    with pytest.raises(UserError, match="at least 1 image, not 0"):
        compile_network(autoencoder().finish(), machine("P=4"), batch=0)
