"""Stages give the integer engine's integers; and layers become the stages that they should."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow.compiler.lowering import lower
from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense
from quantflow.isa import Operation
from tests.quantflow.lowered import checked, checked_graph, config
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.quantized_graphs import RandomGraph
from tests.quantflow.random_graphs import Wanderer

AROUND = (1, 1, 1, 1)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed):
    lanes = 2 ** (1 + seed % 3)
    checked_graph(Wanderer(seed).graph, config(lanes, activation_bits=16 if lanes == 2 else 8))


@pytest.mark.slow
def test_more_random_graphs():
    for seed in range(1000, 1600):
        checked_graph(Wanderer(seed).graph, config(2 ** (2 + seed % 2)))


def test_the_tests_graphs_have_every_kind_of_stage():
    stages = [stage for seed in range(60) for stage in lower(Wanderer(seed).graph.quantized, config())[0]]
    assert {stage.operation for stage in stages} == set(Operation)
    assert {stage.uniform for stage in stages} == {stage.passes > 1 for stage in stages} == {False, True}
    assert any(stage.dropped_bits for stage in stages)
    residuals = [stage.residual for stage in stages if stage.residual]
    assert {residual.aligned for residual in residuals} == {False, True}
    assert {(1, 1), (2, 2)} <= {residual.stride for residual in residuals}


def test_depthwise_layers_take_one_step_for_each_tap_of_a_block():
    network = RandomNetwork(1, (8, 6, 5)).convolution(8, (3, 3), padding=AROUND, groups=8).finish()
    images = RandomNetwork(2, (8, 6, 5)).images(2)
    ((stage,), _, _) = checked(network, images, config(4))
    assert (stage.steps, stage.block_step, stage.output_blocks, stage.macs) == (9, 1, 2, 8 * 9 * 30)


def test_groups_within_a_block_share_its_steps():
    network = RandomNetwork(1, (8, 6, 5)).convolution(8, (3, 3), padding=AROUND, groups=4).finish()
    ((stage,), _, _) = checked(network, RandomNetwork(2, (8, 6, 5)).images(2), config(4))
    assert (stage.steps, stage.block_step) == (9, 1)


@pytest.mark.parametrize("outputs", [16, 32])
def test_groups_of_whole_blocks_are_stages_of_their_own(outputs):
    network = RandomNetwork(1, (16, 4, 4)).convolution(outputs, (3, 3), padding=AROUND, groups=2).finish()
    stages, maps, _ = checked(network, RandomNetwork(2, (16, 4, 4)).images(2), config(4))
    assert [stage.source.first_block for stage in stages] == [0, 2]
    assert [stage.destination.first_block for stage in stages] == [0, outputs // 8]
    assert sum(stage.macs for stage in stages) == network.network.macs and set(maps) == {"image", "conv1"}


def test_groups_that_fit_no_block_are_dense_with_zeros():
    network = RandomNetwork(1, (6, 4, 4)).convolution(9, (1, 2), groups=3).finish()
    stages, _, _ = checked(network, RandomNetwork(2, (6, 4, 4)).images(2), config(4))
    assert sum(np.count_nonzero(stage.words) for stage in stages) <= 9 * 2 * 2


def test_a_dense_layer_is_a_convolution_that_covers_its_input():
    network = RandomNetwork(3, (5, 3, 4)).reshape((60, 1, 1)).dense(7).finish()
    ((stage,), _, fold) = checked(network, RandomNetwork(2, (5, 3, 4)).images(2), config(4))
    assert fold is not None or stage.window.kernel == (3, 4)


def test_a_1x1_convolution_behind_flattening_is_a_dense_layer():
    network = RandomNetwork(3, (5, 3, 4)).convolution(4, (1, 1)).reshape((48, 1, 1)).convolution(7, (1, 1)).finish()
    stages, _, _ = checked(network, RandomNetwork(2, (5, 3, 4)).images(2), config(4))
    assert stages[-1].window.kernel == (3, 4)


def test_bounds_by_channel_and_ones_for_all():
    bounds = np.float32([0.3, 0.6, 0.9, 0.2, 0.5])
    builder = RandomNetwork(4, (3, 6, 6)).convolution(5, (3, 3), maximum=bounds).convolution(5, (1, 1), maximum=0.4)
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert len(set(stages[0].greatest[:5])) == 5 and len(set(stages[1].greatest[:5])) == 1
    assert not stages[0].greatest[5:].any() and stages[0].least == 0


def test_an_option_a_shortcut_takes_no_stage():
    """A slice of every other pixel and channels of zeros before and behind, added to a convolution's sums."""
    graph = RandomGraph(5, (4, 8, 8))
    first = graph.convolution("image", 8, padding=AROUND)
    short = graph.pad(graph.cut(first, (0, 0, 0), (8, 4, 4), (1, 2, 2)), (4, 0, 0), (4, 0, 0))
    half = graph.convolution(first, 16, padding=AROUND, stride=(2, 2))
    graph.convolution(half, 16, padding=AROUND, residual=short)
    stages, maps, _ = checked_graph(graph, config(8))
    assert len(stages) == 3 and stages[2].residual.view.map == first
    assert (stages[2].residual.stride, stages[2].residual.blocks, stages[2].residual_steps) == ((2, 2), 1, 1)
    assert set(maps) == {"image", first, half, graph.quantized.network.layers[-1].name}


@pytest.mark.parametrize("seed", range(8))
def test_residuals_of_every_scale(seed):
    """k below, at and above a digit, and residuals finer than the products."""
    graph = RandomGraph(seed, (4, 5, 5))
    first = graph.convolution("image", 6, padding=AROUND)
    second = graph.convolution("image", 6, (1, 1), relu=False)
    graph.add(graph.convolution(first, 6, padding=AROUND, residual=second, per_channel=True), second)
    checked_graph(graph, config(4))


def finer_residual(weight_bits, by):
    """A graph with a residual whose fractional length is greater than the products', by so many bits."""
    graph = RandomGraph(2, (4, 5, 5), weight_bits=weight_bits)
    first = graph.convolution("image", 4, padding=AROUND)
    name = graph.convolution(first, 4, padding=AROUND, residual=first)
    entry, before = graph.quantized.layers[name], graph.quantized.output_format(first)
    output = replace(entry.output, fl=before.fl - 2)
    fl = np.full(4, -by, np.int32)
    graph.quantized.layers[name] = replace(entry, weight_fl=fl, output=output)
    return graph, name


@pytest.mark.parametrize("by", [1, 3])
def test_a_residual_finer_than_the_products(by):
    graph, _ = finer_residual(4, by)
    stages, _, _ = checked_graph(graph, config(4))
    assert np.abs(stages[1].words[:, stages[1].residual_steps :].astype(int)).max() > 8 << by - 1


def test_weights_wider_than_the_machines_are_computed_in_passes():
    builder = RandomNetwork(6, (3, 6, 6), weight_bits=12).convolution(5, (3, 3)).dense(4)
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert {stage.passes for stage in stages} == {2} and max(stage.weight_bits for stage in stages) <= 8


def test_wide_weights_with_a_fine_residual_are_refused():
    """The residual would have to count less than the least digit of the passes behind it."""
    graph, name = finer_residual(14, 0)
    with pytest.raises(UserError, match=f"^layer {name} has weights of 14 bits and a map added to their sums"):
        lower(graph.quantized, config(4))


def test_the_layers_of_a_real_shape_keep_their_macs():
    graph = Wanderer(3).graph
    stages, _, _ = lower(graph.quantized, config(4))
    weighted = [layer for layer in graph.quantized.network.layers if isinstance(layer, Convolution | Dense)]
    for layer in weighted:
        assert sum(stage.macs for stage in stages if layer.name in stage.layers) == layer.macs
