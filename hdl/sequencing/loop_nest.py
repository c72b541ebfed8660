"""The sequencers' loop counters."""

from amaranth import Const, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class LoopNest(wiring.Component):
    """Counters of `levels` nested loops, level 0 outermost.

        for i0 in 0, ..., highest[0]: for i1 in 0, ..., highest[1]: ...         # one step

    `start` begins a walk: from the next cycle on `first[l]` and `last[l]` tell whether level l
    is in its first or last iteration. In a cycle with `step`, `advance[l]` is set for the one
    level that goes to its next iteration; all levels inside it begin anew. No level advances with
    the walk's last step; what follows a step from there is meaningless but does no harm.

    Which addresses belong to a step is not known here: see
    `StrideGenerator` and `ColumnWalker`, which follow `advance`.

    Ports: start, step In(1); highest In, `levels` numbers of `bits` bits, constant from `start`
    on; advance, first, last Out(levels).
    """

    latency = 1

    def __init__(self, levels, bits):
        self.levels = levels
        self.bits = bits
        super().__init__({
            "start": In(1),
            "highest": In(data.ArrayLayout(unsigned(bits), levels)),
            "step": In(1),
            "advance": Out(levels),
            "first": Out(levels),
            "last": Out(levels),
        })

    def elaborate(self, platform):
        m = Module()
        inner_last = Const(1)
        for level in reversed(range(self.levels)):
            highest, first, last = self.highest[level], self.first[level], self.last[level]
            # Counting down keeps `last` a register: the next value is the last one when 1 is left.
            left = Signal(self.bits, name=f"left_{level}")
            m.d.comb += self.advance[level].eq(self.step & inner_last & ~last)
            inner_last = inner_last & last
            with m.If(self.start | (self.step & inner_last)):
                m.d.sync += [left.eq(highest), first.eq(1), last.eq(highest == 0)]
            with m.Elif(self.advance[level]):
                m.d.sync += [left.eq(left - 1), first.eq(0), last.eq(left == 1)]
        return m
