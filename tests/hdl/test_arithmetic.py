"""The gateware's arithmetic against numpy's: exhaustive at small widths, random at large ones."""

import itertools
from functools import partial

import numpy as np
import pytest
from amaranth import Array, Cat, Const, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl import arithmetic as gateware
from quantflow import arithmetic


class Evaluation(wiring.Component):
    """`result = act(value, amount)`: one of the functions under test between ports."""

    def __init__(self, act, value_bits, amount_bits):
        self.act = act
        value = Signal(signed(value_bits))
        amount = Signal(amount_bits)
        super().__init__({
            "value": In(value.shape()),
            "amount": In(amount.shape()),
            "result": Out(act(value, amount).shape()),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.result.eq(self.act(self.value, self.amount))
        return m


def evaluate(act, value_bits, amount_bits, pairs):
    """Results of `act` for (value, amount) pairs, in order."""
    evaluation, results = Evaluation(act, value_bits, amount_bits), []

    async def bench(ctx):
        for value, amount in pairs:
            ctx.set(evaluation.value, int(value))
            ctx.set(evaluation.amount, int(amount))
            results.append(ctx.get(evaluation.result))

    simulator = Simulator(evaluation)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(results)


def integers(bits):
    return range(-(1 << (bits - 1)), 1 << (bits - 1))


@pytest.mark.parametrize("bits", [2, 3, 6])
def test_round_half_even_shift_of_every_value(bits):
    """To the right and, where zeros lie below the value, to the left; saturated to every width that it may be."""
    left, shift_bits = 7, 4
    pairs = [(value, shift) for value in integers(bits) for shift in range(1 << shift_bits)]
    values, shifts = np.array(pairs).T
    for zeros, out_bits in itertools.product((0, left), range(1, bits + 1)):
        expected = arithmetic.round_half_even_shift(values, shifts - zeros)
        act = partial(widened_shift, zeros=zeros, bits=out_bits)
        check_saturated(evaluate(act, bits, shift_bits, pairs), expected, out_bits)


def widened_shift(value, shift, *, zeros, bits):
    return gateware.round_half_even_shift(Cat(Const(0, zeros), value).as_signed(), shift, bits)


def check_saturated(found, expected, bits):
    """Equal where it takes `bits` bits, and saturated to as many or fewer."""
    for fewer in range(1, bits + 1):
        np.testing.assert_array_equal(arithmetic.saturate(found, fewer), arithmetic.saturate(expected, fewer))
    fits = arithmetic.saturate(expected, bits) == expected
    np.testing.assert_array_equal(found[fits], expected[fits])


@pytest.mark.parametrize(("bits", "shift_bits", "out_bits"), [(33, 6, 8), (49, 6, 16)])
def test_round_half_even_shift_of_accumulators(bits, shift_bits, out_bits):
    rng = np.random.default_rng(1)
    shifts = rng.integers(-7, bits - 1, 300)
    values = rng.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 300, endpoint=True)
    values[:100] = (2 * rng.integers(-2, 2, 100) + 1) << np.maximum(shifts[:100] - 1, 0)  # ties
    values[100:102] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    act = partial(widened_shift, zeros=7, bits=out_bits)
    found = evaluate(act, bits, shift_bits, zip(values, shifts + 7, strict=True))
    check_saturated(found, arithmetic.round_half_even_shift(values, shifts), out_bits)


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_shift_by_a_constant(shift):
    pairs = [(value, 0) for value in integers(6)]
    found = evaluate(lambda value, _: gateware.round_half_even_shift(value, shift, 6), 6, 1, pairs)
    np.testing.assert_array_equal(found, arithmetic.round_half_even_shift(np.array(integers(6)), shift))


def test_clip_every_value_between_every_pair_of_bounds():
    """To the range of activations of 3 bits, which are signed or unsigned."""
    bounds = [(low, high) for low in integers(3) for high in range(1 << 3) if low <= high]
    pairs = [(value, number) for value in integers(5) for number in range(len(bounds))]
    lows, highs = Array(Const(low, signed(3)) for low, _ in bounds), Array(Const(high, 3) for _, high in bounds)
    found = evaluate(lambda value, number: gateware.clip(value, lows[number], highs[number]), 5, 6, pairs)
    np.testing.assert_array_equal(found, [np.clip(value, *bounds[number]) for value, number in pairs])


def test_widths_of_results():
    value, amount = Signal(signed(20)), Signal(5)
    assert gateware.round_half_even_shift(value, amount, 8).shape() == signed(10)
    assert gateware.clip(value, Signal(signed(8)), Signal(8)).shape() == signed(20)
