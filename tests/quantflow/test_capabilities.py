"""What only the float engine computes is refused by its layer's name, in every part of the fixed-point side."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.errors import UserError
from quantflow.float_engine import run
from quantflow.graph import Activation, Add, AveragePool, Concat, MaxPool, Pad, Reshape, Slice, Window
from quantflow.integer_engine import run_integers
from quantflow.tune import tune
from quantflow.tuned_file import save
from tests.quantflow.networks import RandomNetwork


def quantized():
    return RandomNetwork(1, (4, 6, 6)).convolution(4, (3, 3), padding=(1, 1, 1, 1)).finish()


def changed_convolution(**fields):
    """A network of one convolution, its fields changed."""
    tuned = quantized()
    layer = replace(tuned.network.layers[0], **fields)
    return replace(tuned, network=replace(tuned.network, layers=(layer,)))


def behind_convolution(kind, inputs=("conv1",), **fields):
    """A network of a convolution and one more layer."""
    tuned = quantized()
    output_shape = fields.pop("output_shape", (4, 6, 6))
    layer = kind(name="more", inputs=inputs, input_shape=(4, 6, 6), output_shape=output_shape, **fields)
    return replace(tuned, network=replace(tuned.network, layers=(*tuned.network.layers, layer)))


DILATED = Window(kernel=(3, 3), padding=(2, 2, 2, 2), dilation=(2, 2))
GROUPED = {"groups": 2, "weight": np.zeros((4, 2, 3, 3), np.float32)}
CASES = {
    "layer conv1 has 2 groups": changed_convolution(**GROUPED),
    "layer conv1 has a dilation of 2x2": changed_convolution(window=DILATED),
    "layer conv1 has an upper bound of 6 in its activation": changed_convolution(relu=True, maximum=6.0),
    "layer more has a dilation of 2x2": behind_convolution(MaxPool, window=DILATED),
    "layer more is an AveragePool": behind_convolution(
        AveragePool, window=Window(kernel=(6, 6)), output_shape=(4, 1, 1)
    ),
    "layer more is an Add": behind_convolution(Add, inputs=("conv1", "image")),
    "layer more is a Concat": behind_convolution(Concat, inputs=("conv1", "image"), output_shape=(8, 6, 6)),
    "layer more is a Slice": behind_convolution(Slice, start=(1, 0, 0), output_shape=(3, 6, 6)),
    "layer more is a Pad": behind_convolution(Pad, before=(1, 0, 0), after=(0, 0, 0), output_shape=(5, 6, 6)),
    "layer more is a Reshape": behind_convolution(Reshape, output_shape=(4, 9, 4)),
    "layer more is an Activation": behind_convolution(Activation, slope=np.zeros(4, np.float32)),
}


@pytest.mark.parametrize("words", CASES)
def test_what_the_fixed_point_side_lacks_is_refused_by_name(words, tmp_path):
    tuned = CASES[words]
    images = np.random.default_rng(1).normal(size=(2, 4, 6, 6)).astype(np.float32)
    assert run(tuned.network, images).shape == (2, *tuned.network.output_shape)
    parts = {
        "the tuner": lambda: tune(tuned.network, images),
        "the integer engine": lambda: run_integers(tuned, np.zeros((1, 4, 6, 6), np.int32)),
        "the compiler": lambda: compile_network(tuned, Config(pixels=2, lanes=8)),
        "a tuned network's file": lambda: save(tuned, tmp_path / "tuned"),
    }
    for part, act in parts.items():
        with pytest.raises(UserError) as caught:
            act()
        assert str(caught.value) == f"{words}, which {part} does not support yet"
    assert not (tmp_path / "tuned").exists()
