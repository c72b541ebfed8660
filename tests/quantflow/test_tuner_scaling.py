"""Channels scaled by factors: the same function, to the last bit where factors are powers of two."""

import numpy as np
import pytest

from quantflow.float_engine import activations
from quantflow.tuner import scaling
from quantflow.tuner.channels import channel_classes
from quantflow.tuner.scaling import channel_peaks, read_channels, scale_channels
from tests.quantflow.float_graphs import FloatGraph, every_kind, images
from tests.quantflow.test_tuner_equalization import free_kinds


def any_factors(network, seed):
    """Random factors, the same within a class and 1 where channels must not be scaled."""
    classes, fixed = channel_classes(network)
    drawn = np.random.default_rng(seed).uniform(0.5, 2, len(fixed))
    drawn[fixed] = 1
    return {name: drawn[numbers] for name, numbers in classes.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [every_kind, free_kinds])
def test_every_map_is_scaled_and_the_output_stays(kinds, seed):
    network, x, factors = kinds(seed), images(4, seed), any_factors(kinds(seed), seed)
    assert len(np.unique(np.concatenate([*factors.values()]))) > 10
    scaled = scale_channels(network, factors)
    maps, others = activations(network, x), activations(scaled, x)
    for name, y in maps.items():
        np.testing.assert_allclose(others[name], y * factors[name][:, None, None], rtol=1e-4, atol=1e-5, err_msg=name)
    assert all(each.weight.dtype == np.float32 for each in scaled.layers if hasattr(each, "weight"))


def test_a_weight_that_leaves_float32_becomes_infinite():
    network = free_kinds()
    network.layers[0].weight[0, 0, 0, 0] = 3e38
    factors = {name: np.full_like(each, 2) for name, each in any_factors(network, 0).items()}
    factors["x"][:] = 1
    assert np.isinf(scale_channels(network, factors).layers[0].weight).sum() == 1


def test_channels_that_are_read_by_hand():
    graph = FloatGraph(0, (4, 6, 6))
    graph.dense(graph.convolution("x", channels=6, groups=2), 2)
    convolution, dense = graph.network().layers
    assert read_channels(convolution).tolist() == 3 * [[0, 1]] + 3 * [[2, 3]]
    assert read_channels(dense).tolist() == 2 * [[0, 1, 2, 3, 4, 5]]


def test_peaks_are_those_of_all_images(monkeypatch):
    network, calibration = every_kind(), images(7)
    expected = {name: np.abs(x).max(axis=(0, 2, 3)) for name, x in activations(network, calibration).items()}
    for batch in (1, 3, 100):
        monkeypatch.setattr(scaling, "BATCH", batch)
        peaks = channel_peaks(network, calibration)
        assert peaks.keys() == expected.keys()
        assert all(np.allclose(peaks[name], expected[name], rtol=1e-5) for name in expected)
