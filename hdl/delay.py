"""Registers in a row, for signals that wait for slower ones."""

from amaranth import Signal


def delayed(m, value, cycles, *, name, reset_less=False):
    """`value` as it was `cycles` cycles ago; `reset_less` for data that a valid bit qualifies."""
    shape = value.shape()
    for cycle in range(cycles):
        register = Signal(shape, name=f"{name}_{cycle + 1}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
