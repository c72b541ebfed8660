"""Sums for addresses that must not take multipliers away from the array."""

from functools import reduce
from operator import add, or_

from amaranth import Mux, Signal, Value


def select(choices):
    """The value whose condition holds, from (value, condition) pairs of which at most one does."""
    values = ((Value.cast(value), condition) for value, condition in choices)
    return reduce(or_, (value & condition.replicate(len(value)) for value, condition in values))


def phase_product(phase, stride):
    """`phase * stride` from one adder per bit of `phase`, the narrow operand."""
    return reduce(add, (Mux(phase[bit], stride << bit, 0) for bit in range(len(phase))))


def constant_product(value, constant):
    """`value * constant` for a constant of at least 1: one adder per further bit set in it."""
    bits = (bit for bit in range(constant.bit_length()) if constant >> bit & 1)
    return reduce(add, (value << bit for bit in bits))


def add_position(m, position, step, *, phases, pixels, name):
    """The column position `position + step`: carries at `phases` to the bank, at `pixels` to the group.

    Both operands are in mixed radix: phase below `phases`, bank below `pixels`. Adds the
    combinational logic to `m` and returns a View of the layout of `position`.
    """
    total = Signal(position.shape(), name=name)
    phase = Signal(len(position.phase) + 1, name=f"{name}_phase_sum")
    bank = Signal(len(position.bank) + 1, name=f"{name}_bank_sum")
    carry_phase, carry_bank = Signal(name=f"{name}_carry_phase"), Signal(name=f"{name}_carry_bank")
    m.d.comb += [
        phase.eq(position.phase + step.phase),
        carry_phase.eq(phase >= phases),
        bank.eq(position.bank + step.bank + carry_phase),
        carry_bank.eq(bank >= pixels),
        total.phase.eq(Mux(carry_phase, phase - phases, phase)),
        total.bank.eq(Mux(carry_bank, bank - pixels, bank)),
        total.group.eq(position.group + step.group + carry_bank),
    ]
    return total
