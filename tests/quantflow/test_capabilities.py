"""What the machine lacks is refused by its layer's name; the tuner and the integer engine compute it."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow import float_engine
from quantflow.arithmetic import dequantize
from quantflow.capabilities import check_machine, machine_lacks
from quantflow.compiler.lowering import lower
from quantflow.errors import UserError
from quantflow.graph import Activation, Convolution, MaxPool, Pad, Reshape, Window
from quantflow.integer_engine import run
from quantflow.tuner.tune import tune
from tests.quantflow.lowered import config
from tests.quantflow.networks import RandomNetwork


def behind_convolution(kind, output_shape=(4, 6, 6), **fields):
    """A network of a convolution and one more layer."""
    tuned = RandomNetwork(1, (4, 6, 6)).convolution(4, (3, 3), padding=(1, 1, 1, 1)).finish()
    layer = kind(name="more", inputs=("conv1",), input_shape=(4, 6, 6), output_shape=output_shape, **fields)
    return replace(tuned, network=replace(tuned.network, layers=(*tuned.network.layers, layer)))


CASES = {
    "has a slope of 0.25 for negative numbers": behind_convolution(Activation, slope=np.full(4, 0.25, np.float32)),
    "has slopes of both 0 and 1": behind_convolution(Activation, slope=np.float32([0, 1, 1, 0])),
    "pads with 0.5": behind_convolution(Pad, (5, 6, 6), before=(1, 0, 0), after=(0, 0, 0), value=0.5),
    "reshapes a map to 4x9x4": behind_convolution(Reshape, (4, 9, 4)),
}


@pytest.mark.parametrize("words", CASES)
def test_what_the_machine_lacks_is_refused_by_the_layers_name(words):
    tuned = CASES[words]
    assert machine_lacks(tuned.network.layers[-1]) == words
    for act in (check_machine, lambda network: lower(network, config())):
        with pytest.raises(UserError) as caught:
            act(tuned)
        assert str(caught.value) == f"layer more {words}, which the machine does not support yet"


@pytest.mark.parametrize("words", CASES)
def test_and_computed_by_the_integer_engine(words):
    """Against the float engine, from the tuner, at so many bits that hardly anything is lost."""
    network = CASES[words].network
    network.layers[0].weight[:] = np.random.default_rng(2).normal(size=network.layers[0].weight.shape) / 4
    images = np.random.default_rng(1).normal(size=(3, 4, 6, 6)).astype(np.float32)
    tuned = tune(network, images, activation_bits=14, weight_bits=14, method="max")
    output = dequantize(run(tuned, images)["more"], tuned.output_format("more"))
    np.testing.assert_allclose(output, float_engine.run(network, images), atol=0.01)
    assert np.abs(output).max() > 0.5


def test_flattening_for_another_reader_than_a_dense_layer_is_refused():
    builder = RandomNetwork(1, (4, 3, 3)).convolution(4, (1, 1)).reshape((36, 1, 1))
    assert machine_lacks(builder.finish().network.layers[-1]) is None
    words = "^layer reshape2 reshapes a map for another reader than a fully connected layer, which"
    with pytest.raises(UserError, match=words):
        lower(builder.finish(), config())
    with pytest.raises(UserError, match=words):
        lower(builder.convolution(36, (1, 1), groups=36).finish(), config())


def test_a_slice_of_nothing_but_padding_is_refused():
    builder = RandomNetwork(1, (4, 3, 3)).pad((0, 2, 0), (0, 0, 0)).slice((0, 0, 0), (4, 2, 3)).convolution(4, (1, 1))
    with pytest.raises(
        UserError, match="^layer slice2 has nothing but padding, which the machine does not support yet$"
    ):
        lower(builder.finish(), config())


def test_what_the_machine_has():
    around = (1, 1, 1, 1)
    builder = RandomNetwork(2, (4, 9, 9), vary=True).convolution(4, (3, 3), padding=around, groups=2, dilation=(1, 1))
    first = builder.last
    builder.convolution(
        4, (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2), residual=first, maximum=np.float32([1, 2, 1, 1])
    )
    builder.add(first).concat(first).slice((1, 0, 0), (4, 4, 4), (1, 2, 2)).pad((1, 0, 0), (1, 0, 0))
    builder.average_pool((2, 2)).pool((2, 2)).reshape((6, 1, 1)).dense(5)
    quantized = builder.finish()
    assert {machine_lacks(layer) for layer in quantized.network.layers} == {None}
    check_machine(quantized)
    kinds = {type(layer) for layer in quantized.network.layers}
    assert len(kinds) == 9 and {Convolution, MaxPool} <= kinds
    assert machine_lacks(MaxPool(name="p", inputs=("x",), input_shape=(1, 5, 5), output_shape=(1, 1, 1),
                                 window=Window(kernel=(3, 3), dilation=(2, 2)))) is None  # fmt: skip
    relu = Activation(name="r", inputs=("x",), input_shape=(2, 1, 1), output_shape=(2, 1, 1), slope=np.zeros(2))
    assert machine_lacks(relu) is None and machine_lacks(replace(relu, slope=np.ones(2), maximum=6.0)) is None
