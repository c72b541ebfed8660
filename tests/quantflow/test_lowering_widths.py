"""Widths are proved from the real words, and what is too wide is named."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow.arithmetic import Format
from quantflow.compiler.lowering import lower
from quantflow.compiler.widths import check_widths, sum_bits
from quantflow.errors import UserError
from tests.quantflow.lowered import config
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.one_layer import one_dense
from tests.quantflow.random_graphs import Wanderer
from tests.quantflow.stages import run_stages


def lowered(quantized, machine):
    stages, maps, _ = lower(quantized, machine)
    return stages, maps


@pytest.mark.parametrize(
    ("weights", "bias", "bits"),
    [([1], 0, 8), ([-1], 0, 9), ([127, 1], 0, 15), ([128, 0], 0, 15), ([-128, -1], -128, 15), ([0], 1 << 20, 22)],
)
def test_sums_by_hand(weights, bias, bits):
    """Inputs lie in -128 to 127; weights of one pass: 128 takes two, and its lower digit adds nothing."""
    machine = config(4)
    stages, maps = lowered(one_dense([weights], [bias]), machine)
    expected = {(128, 0): 15, (-128, -1): 16}.get(tuple(weights), bits)
    assert sum_bits(stages[0], maps, machine) == expected


@pytest.mark.parametrize(("weights", "bits"), [([-1], 9), ([1], 9), ([-1, -1], 10), ([2, -1], 10)])
def test_sums_of_unsigned_numbers_by_hand(weights, bits):
    """Inputs lie in 0 to 255."""
    quantized = replace(one_dense([weights], [0]), input=Format(bits=8, fl=0, signed=False))
    stages, maps = lowered(quantized, config(4))
    assert sum_bits(stages[0], maps, config(4)) == bits


@pytest.mark.parametrize("seed", range(20))
def test_no_sum_is_wider_than_proved(seed):
    """With accumulators of just the width that is proved, `run_stages` asserts no overflow for extreme inputs."""
    quantized = Wanderer(seed).graph.quantized
    stages, maps, fold = lower(quantized, config(4))
    widest = max(sum_bits(stage, maps, config(4)) for stage in stages if stage.words is not None)
    exact = config(4, accumulator_bits=max(16, widest))
    random, format = np.random.default_rng(seed), quantized.input
    images = random.choice([format.min, format.max], (2, *quantized.network.input_shape))
    run_stages(stages, maps, {"image": images if fold is None else fold.apply(images)}, exact)
    check_widths(stages, maps, exact)


def test_sums_that_are_too_wide():
    machine = config(4)
    stages, maps = lowered(one_dense([[1]], [1 << 30]), machine)
    with pytest.raises(UserError, match="^layer y has sums of 32 bits; the machine has 31$"):
        check_widths(stages, maps, config(4, accumulator_bits=31))


@pytest.mark.parametrize("shift", [-8, 40])
def test_shifts_beyond_the_requantizers(shift):
    machine = config(4, accumulator_bits=40)
    stages, maps = lowered(one_dense([[1]], [0]), machine)
    stages = [replace(stages[0], shift=np.full(4, shift))]
    with pytest.raises(UserError, match=f"^layer y shifts its sums by {shift} bits; the machine shifts by -7 to 39$"):
        check_widths(stages, maps, machine)


def test_activations_that_are_too_wide():
    machine = config(4)
    stages, maps = lowered(one_dense([[1]], [0], output=Format(bits=9, fl=0)), machine)
    with pytest.raises(UserError, match="^the map y has activations of 9 bits; the machine has 8$"):
        check_widths(stages, maps, machine)


def test_dropped_bits_beyond_the_instructions():
    machine = config(4)
    stages, maps = lowered(one_dense([[1]], [0]), machine)
    with pytest.raises(UserError, match="^layer y clears 32 bits of its sums; the machine clears 31$"):
        check_widths([replace(stages[0], dropped_bits=32)], maps, machine)


def test_wide_weights_are_no_obstacle():
    builder = RandomNetwork(1, (3, 5, 5), weight_bits=16).convolution(4, (3, 3))
    stages, maps = lowered(builder.finish(), config(4))
    check_widths(stages, maps, config(4))
    assert stages[0].passes == 3
