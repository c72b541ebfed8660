"""Addresses as running sums along a loop nest."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.sequencing.address_arithmetic import select
from hdl.sequencing.walk_turn import walk_turn


class StrideGenerator(wiring.Component):
    """The sum that a loop nest's iteration numbers and strides make, without products.

        value = first + sum over l in strided of i_l * strides[l],  modulo 2**bits

    `strided` lists the levels that have a stride; other levels leave the value as it is. `start`
    takes over `first`; each `advance` (the one-hot of `LoopNest`, possibly delayed) goes to the
    next value, which is there two cycles later: what to add to what is decided in the first of
    them, the sum made in the second.

    One base per strided level holds the value at the beginning of that level's iteration: when
    level l advances, base l grows by its stride and all bases inside it take the new value.

    Ports: start In(1); first In(bits); strides In, one number of `bits` bits per strided level;
    advance In(levels); value Out(bits). `first` and `strides` are constant from `start`
    on, which comes when nothing advances.
    """

    latency = 2

    def __init__(self, levels, bits, *, strided):
        if list(strided) != sorted(set(strided)) or not set(strided) <= set(range(levels)):
            raise ValueError(f"strided lists levels below {levels} in rising order, not {strided}")
        self.levels = levels
        self.bits = bits
        self.strided = tuple(strided)
        super().__init__({
            "start": In(1),
            "first": In(bits),
            "strides": In(data.ArrayLayout(unsigned(bits), len(self.strided))),
            "advance": In(levels),
            "value": Out(bits),
        })

    def elaborate(self, platform):
        m = Module()
        bases = [Signal(self.bits, name=f"base_{level}") for level in self.strided]
        turn = walk_turn(m, self.start, self.advance, self.strided)
        following = Signal(self.bits)
        m.d.comb += following.eq(
            select(zip([self.first, *bases], turn.origin, strict=True))
            + select(zip(self.strides, turn.step, strict=True))
        )
        for base, changes in zip(bases, turn.changes, strict=True):
            with m.If(changes):
                m.d.sync += base.eq(following)
        m.d.comb += self.value.eq(bases[-1])
        return m
