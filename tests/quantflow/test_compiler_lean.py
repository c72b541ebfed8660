"""A machine with one bank, one phase and no residuals: what it computes is right, and what it lacks is named."""

import pytest

from quantflow import integer_engine
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.errors import UserError
from quantflow.isa import Opcode
from tests.quantflow.compiled import check
from tests.quantflow.networks import RandomNetwork

LEAN = Config(pixels=1, lanes=4, port_bits=32, accumulator_bits=40, phase_bits=0, residuals=False)
SAME = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}


def strided():
    """Strides of 2, 3 and 5, padding, and a kernel whose taps are apart."""
    network = RandomNetwork(1, (3, 17, 23)).convolution(7, (3, 4), (2, 2), (1, 2, 1, 0))
    network.convolution(5, (3, 3), (1, 3), (2, 2, 0, 2), dilation=(2, 2))
    return network.convolution(4, (2, 1), (5, 5), (1, 0, 1, 0))


def pooled():
    """Windows fused behind a strided convolution, and ones that overlap."""
    network = RandomNetwork(2, (3, 21, 25)).convolution(6, (3, 3), (1, 2), (1, 1, 1, 1)).pool((2, 3))
    return network.convolution(8, **SAME).pool((3, 3), (2, 2), (1, 1, 1, 1)).average_pool((2, 2), (1, 2)).dense(11)


def joined():
    """Blocks of channels side by side; parts of maps, with zeros around them."""
    network = RandomNetwork(3, (4, 9, 11)).convolution(8, **SAME)
    trunk = network.last
    network.convolution(4, (1, 1), source=trunk)
    narrow = network.last
    network.pool((3, 3), (1, 1), (1, 1, 1, 1), source=trunk).concat(narrow).slice((0, 1, 2), (12, 8, 9))
    return network.pad((0, 1, 0), (0, 0, 2)).convolution(5, (3, 3), (2, 2))


@pytest.mark.parametrize("depth", [2048, 240])
@pytest.mark.parametrize("network", [strided, pooled, joined], ids=lambda function: function.__name__)
def test_equals_the_integer_engine(network, depth):
    network = network()
    quantized, images = network.finish(), network.images(2)
    deployment = compile_network(quantized, Config(**LEAN.to_json() | {"activation_depth": depth}))
    check(deployment, images, integer_engine.run_integers(quantized, images, keep=True))


def test_steps_are_groups():
    """A pooled row of 3 columns of every 2nd column is a window of 6: one instruction, whatever the step."""
    network = RandomNetwork(4, (4, 6, 24)).convolution(4, **SAME).convolution(4, (1, 1), (1, 2)).pool((1, 3))
    deployment = compile_network(network.finish(), LEAN)
    word = [word for word in deployment.programs["cold"].instructions if word.opcode == Opcode.COMPUTE][-1]
    assert (word.window_columns, word.window_group_step, word.output_group_step) == (3, 2, 6)
    assert (word.output_groups, word.output_columns, word.columns) == (4, 4, 24)


def test_columns_too_far_apart_are_refused():
    """One column of results has no neighbour, so nothing is too far from it."""
    alone = RandomNetwork(5, (4, 20, 20)).convolution(4, **SAME).convolution(3, (3, 3), (16, 18))
    compile_network(alone.finish(), LEAN)
    network = RandomNetwork(5, (4, 20, 40)).convolution(4, **SAME).convolution(3, (3, 3), (16, 16))
    message = "layer conv2 reads every 16th column, .*; a machine without phases steps over 15 at most"
    with pytest.raises(UserError, match=message):
        compile_network(network.finish(), LEAN)


@pytest.mark.parametrize("kind", ["add", "residual", "concat"])
def test_second_maps_in_sums_are_refused(kind):
    """The concatenation's maps share a block of channels, so one is added to the other."""
    network = RandomNetwork(6, (4, 6, 6)).convolution(6, **SAME)
    first = network.last
    network.convolution(6, source=first, **SAME)
    if kind == "residual":
        network.convolution(6, residual=first, **SAME)
    else:
        getattr(network, kind)(first)
    quantized = network.finish()
    with pytest.raises(UserError, match=f"^the machine has no residuals: layer {network.last} .* another map"):
        compile_network(quantized, LEAN)
    compile_network(quantized, Config(**LEAN.to_json() | {"residuals": True}))
