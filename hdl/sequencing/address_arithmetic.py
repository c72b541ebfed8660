"""Sums for addresses that must not take multipliers away from the array."""

from functools import reduce
from operator import add, or_

from amaranth import Cat, Const, Mux, Signal, Value


def select(choices):
    """The value whose condition holds, from (value, condition) pairs of which at most one does."""
    values = ((Value.cast(value), condition) for value, condition in choices)
    return reduce(or_, (value & condition.replicate(len(value)) for value, condition in values))


def phase_product(phase, stride):
    """`phase * stride` from one adder per bit of `phase`, the narrow operand; 0 where it has none."""
    return reduce(add, [Mux(phase[bit], stride << bit, 0) for bit in range(len(phase))] or [Const(0)])


def constant_product(value, constant):
    """`value * constant` for a constant of at least 1: one adder per further bit set in it."""
    bits = (bit for bit in range(constant.bit_length()) if constant >> bit & 1)
    return reduce(add, (value << bit for bit in bits))


def add_position(m, position, step, excess, *, pixels, name):
    """The column position `position + step`: carries at `phases` to the bank, at `pixels` to the group.

    Both operands are in mixed radix: phase below `phases`, bank below `pixels`. `excess` is
    step.phase - phases, signed, made beforehand: then all sums are made side by side, and carries
    choose among them. Where positions have no bits of a phase, nothing is carried from it. Adds the
    combinational logic to `m` and returns a View of the layout of `position`.
    """
    total = Signal(position.shape(), name=name)
    phase = Signal(len(position.phase) + 1, name=f"{name}_phase_sum")
    left = Signal(len(position.phase) + 2, name=f"{name}_phase_left")
    bank = Signal(len(position.bank) + 1, name=f"{name}_bank_sum")
    groups = [Signal(len(position.group), name=f"{name}_group_{carry}") for carry in range(2)]
    carry_phase, carry_bank = Signal(name=f"{name}_carry_phase"), Signal(name=f"{name}_carry_bank")
    if len(position.phase):
        m.d.comb += [
            phase.eq(position.phase + step.phase),
            left.eq(position.phase + excess),
            carry_phase.eq(~left[-1]),
        ]
    m.d.comb += [
        bank.eq(position.bank + step.bank),
        carry_bank.eq(_table(bank, carry_phase, pixels, lambda n: n >= pixels, 1)),
        *(group.eq(position.group + step.group + carry) for carry, group in enumerate(groups)),
        total.phase.eq(Mux(carry_phase, left, phase)),
        total.bank.eq(_table(bank, carry_phase, pixels, lambda n: n % pixels, len(position.bank))),
        total.group.eq(Mux(carry_bank, groups[1], groups[0])),
    ]
    return total


def _table(bank, carry, pixels, function, bits):
    """`function(bank + carry)` for a sum of two banks, from comparisons: adders would come one behind the other."""
    values = range(2 * pixels - 1)
    return Cat(
        Mux(
            carry,
            Cat(bank == value for value in values if int(function(value + 1)) >> bit & 1).any(),
            Cat(bank == value for value in values if int(function(value)) >> bit & 1).any(),
        )
        for bit in range(bits)
    )
