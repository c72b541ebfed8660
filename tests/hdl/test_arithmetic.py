"""The gateware's arithmetic against numpy's: exhaustive at small widths, random at large ones."""

import itertools
from functools import partial

import numpy as np
import pytest
from amaranth import Cat, Const, Module, Signal, signed
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


@pytest.mark.parametrize("out_bits", [3, 5, 9])
def test_saturate_every_value_to_every_width(out_bits):
    pairs = [(value, bits) for value in integers(7) for bits in range(1, out_bits + 1)]
    found = evaluate(lambda value, bits: gateware.saturate(value, bits, out_bits), 7, 4, pairs)
    np.testing.assert_array_equal(found, [arithmetic.saturate(value, bits) for value, bits in pairs])


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_saturate_to_a_constant_width(bits):
    values = np.random.default_rng(2).integers(-(1 << 17), 1 << 17, 200)
    pairs = [(value, 0) for value in values]
    found = evaluate(lambda value, _: gateware.saturate(value, bits, bits), 18, 1, pairs)
    np.testing.assert_array_equal(found, arithmetic.saturate(values, bits))


def test_widths_of_results():
    value, amount = Signal(signed(20)), Signal(5)
    assert gateware.round_half_even_shift(value, amount, 8).shape() == signed(10)
    assert gateware.saturate(value, amount, 8).shape() == signed(8)
    assert gateware.saturate(value, 3, 24).shape() == signed(24)
