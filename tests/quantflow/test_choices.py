"""What a tuned network's choices are said to be, against its integers."""

import math

import numpy as np

from quantflow.choices import WeightChoices, choices
from tests.quantflow.branched import branched


def test_weights_are_those_of_the_definitions():
    tuned = branched(weight_bits=3)
    figures = {layer.name: layer.weights for layer in choices(tuned)}
    assert [name for name, weights in figures.items() if weights] == ["conv1", "conv2", "fc"]
    for name, entry in tuned.layers.items():
        weights = figures[name]
        assert weights.saturated == np.isin(entry.weight, (-4, 3)).mean() > 0
        assert weights.zeros == (entry.weight == 0).mean() > 0
        assert (weights.bits, weights.fl) == (3, tuple(entry.weight_fl))
        assert -(1 << (weights.bias_bits - 1)) <= entry.bias.min() and entry.bias.max() < 1 << (weights.bias_bits - 1)
        assert weights.bytes == math.ceil((3 * entry.weight.size + weights.bias_bits * entry.bias.size) / 8)


def test_json_lists_fractional_lengths_where_channels_differ():
    def fl(*lengths):
        weights = WeightChoices(bits=8, fl=lengths, bias_bits=9, bytes=1, saturated=0.0, zeros=0.0)
        return weights.to_json()["weight_fl"]

    assert fl(7, 6) == [7, 6]
    assert fl(7, 7) == 7


def test_input_and_layers_have_the_same_keys():
    first, *others = (entry.to_json() for entry in choices(branched()))
    assert (first["kind"], first["activation_fl"], first["weight_bits"]) == ("Input", 5, None)
    assert all(entry.keys() == first.keys() for entry in others)
