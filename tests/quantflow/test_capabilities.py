"""What the machine lacks is refused by its layer's name; the tuner and the integer engine compute it."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow import float_engine
from quantflow.arithmetic import Format, dequantize
from quantflow.capabilities import check_machine, machine_lacks
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.errors import UserError
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, MaxPool, Pad, Reshape, Slice, Window
from quantflow.integer_engine import run
from quantflow.tuner.tune import tune
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
    "layer conv1 has an upper bound of its own for each channel in its activation": changed_convolution(
        relu=True, maximum=np.float32([6, 6, 3, 6])
    ),
    "layer more has a dilation of 2x2": behind_convolution(MaxPool, window=DILATED),
    "layer conv1 adds the map image to its sums": changed_convolution(inputs=("image", "image")),
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
def test_what_the_machine_lacks_is_refused_by_the_layers_name(words):
    tuned = CASES[words]
    layer = tuned.network.layers[-1]
    assert words == f"layer {layer.name} {machine_lacks(layer)}"
    for act in (check_machine, lambda network: compile_network(network, Config(pixels=2, lanes=8))):
        with pytest.raises(UserError) as caught:
            act(tuned)
        assert str(caught.value) == f"{words}, which the machine does not support yet"


@pytest.mark.parametrize("words", CASES)
def test_and_computed_by_the_integer_engine(words):
    """Against the float engine, from the tuner, at so many bits that hardly anything is lost."""
    network = CASES[words].network
    for layer in network.layers:
        if isinstance(layer, Convolution):
            layer.weight[:] = np.random.default_rng(2).normal(size=layer.weight.shape) / 4
    images = np.random.default_rng(1).normal(size=(3, 4, 6, 6)).astype(np.float32)
    tuned = tune(network, images, activation_bits=14, weight_bits=14, method="max")
    last = network.layers[-1].name
    output = dequantize(run(tuned, images)[last], tuned.output_format(last))
    np.testing.assert_allclose(output, float_engine.run(network, images), atol=0.01)
    assert np.abs(output).max() > 0.5


def test_unsigned_maps_are_refused():
    unsigned = Format(bits=8, fl=7, signed=False)
    tuned = quantized()
    with pytest.raises(UserError, match="^the network's input is unsigned, which the machine does not support yet$"):
        check_machine(replace(tuned, input=unsigned))
    entry = replace(tuned.layers["conv1"], output=unsigned)
    with pytest.raises(UserError, match="^layer conv1 gives unsigned numbers, which the machine does not support yet$"):
        check_machine(replace(tuned, layers={"conv1": entry}))


def test_what_the_machine_has():
    tuned = RandomNetwork(2, (3, 9, 9)).convolution(4, (3, 3)).pool((2, 2)).dense(5).finish()
    assert [machine_lacks(layer) for layer in tuned.network.layers] == [None] * 3
    check_machine(tuned)
