"""Reciprocals are exact for every sum; averages become stages."""

import numpy as np
import pytest

from quantflow.arithmetic import round_half_even_shift
from quantflow.compiler.lowering.averages import reciprocal
from quantflow.errors import UserError
from tests.quantflow.lowered import checked, checked_graph, config
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.quantized_graphs import RandomGraph

MACHINE = config(4, accumulator_bits=32)


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5, 6, 7, 9, 12, 14, 20, 25, 28, 36, 49, 63, 64, 81, 100, 125, 144, 196])
@pytest.mark.parametrize("results", [(-128, 127), (0, 255), (0, 100), (-8, 7)])
def test_every_sum(taps, results):
    """For inputs of 8 bits, signed and unsigned, and outputs from much coarser to much finer ones."""
    for least, greatest in ((-128, 127), (0, 255)):
        for shift in range(-6 - (taps.bit_length() - 1), 8):
            found = reciprocal(taps, shift, (least * taps, greatest * taps), results, MACHINE)
            sums = np.arange(least * taps, greatest * taps + 1)
            totals = (sums * found.weight + found.bias) >> found.dropped_bits << found.dropped_bits
            rounded = np.clip(round_half_even_shift(totals, found.shift), *results)
            # float64's quotient of two integers is a tie only where the exact one is
            np.testing.assert_array_equal(rounded, np.clip(np.rint(sums / (taps * 2.0**shift)), *results))
            value = 0
            for digit in found.digits:
                assert 0 <= digit < 1 << MACHINE.pass_shift
                value = (value << MACHINE.pass_shift) + digit
            assert value == found.weight


def test_without_its_dropped_bits_a_reciprocal_misses_ties():
    found = reciprocal(36, 0, (-128 * 36, 127 * 36), (-128, 127), MACHINE)
    sums = np.arange(-128 * 36, 127 * 36 + 1)
    expected = np.rint(sums / 36)
    assert found.dropped_bits and np.any(round_half_even_shift(sums * found.weight, found.shift) != expected)


@pytest.mark.parametrize("taps", [2, 4, 8, 64])
def test_powers_of_two_need_no_product(taps):
    found = reciprocal(taps, 1, (-128 * taps, 127 * taps), (-128, 127), MACHINE)
    assert (found.digits, found.shift, found.dropped_bits) == ((1,), taps.bit_length(), 0)


def test_accumulators_that_are_too_narrow_are_refused_by_the_layers_name():
    builder = RandomNetwork(1, (4, 25, 5)).average_pool((25, 5))
    machine = config(4, accumulator_bits=20)
    with pytest.raises(
        UserError, match="^layer average1: accumulators of 20 bits are too few for a mean of 125 numbers$"
    ):
        checked(builder.finish(), builder.images(1), machine)


def test_padding_that_is_left_out_gives_a_stage_for_each_count_of_taps():
    builder = RandomNetwork(2, (5, 7, 6)).convolution(5, (1, 1)).average_pool((3, 3), (1, 1), (1, 1, 1, 1))
    stages, maps, _ = checked(builder.finish(), builder.images(2), config(4))
    averages = [stage for stage in stages if stage.uniform]
    corners = {(stage.destination.first_row, stage.destination.first_column) for stage in averages}
    assert corners == {(y, x) for y in (0, 1, 6) for x in (0, 1, 5)}
    assert sum(np.prod(stage.output_shape[1:]) for stage in averages) == 42


def test_padding_that_counts_takes_one_stage():
    builder = RandomNetwork(2, (5, 7, 6)).average_pool(
        (3, 3), (2, 1), (1, 1, 1, 1), include_pad=True, maximum=0.3, relu=True
    )
    ((stage,), _, _) = checked(builder.finish(), builder.images(2), config(4))
    assert stage.uniform and stage.block_step == 1 and stage.least == 0


@pytest.mark.parametrize("seed", range(6))
def test_averages_of_slices_and_paddings(seed):
    graph = RandomGraph(seed, (9, 8, 8), signed=bool(seed % 2))
    cut = graph.cut("image", (4 if seed < 3 else 1, 1, 0), (5, 7, 4), (1, 1, 2))
    graph.average(graph.pad(cut, (0, 1, 0), (0, 0, 2)), (3, 2), stride=(2, 1), padding=(1, 0, 0, 1))
    checked_graph(graph, config(4))
