"""The instruction of the write side, which follows the read side's at a distance."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow import isa


class WriteInstruction(wiring.Component):
    """Keeps each instruction that drains anything from its reading until its words are written.

    `begin` is set in the first cycle of a new `reading`. It is copied to a register in between as
    soon as that is free, which `copied` tells: from then on `reading` may change. With `drain` the
    instruction in between becomes `writing`, `start` being set in its first cycle; it stays until
    the next `drain`. Instructions whose sums stay in the accumulators have no `drain` and are not
    copied. `drain` comes at least two cycles behind its `begin`, and the next one at least two
    cycles behind that.

    Without `config.overlap` an instruction is `reading` until its words are written, and needs no copy.

    Ports: reading In(isa.Compute); begin, drain In(1); copied Out(1); writing Out(isa.Compute);
    start Out(1).
    """

    lead = 2  # from `drain` to the cycle in which the drain bank takes the first words

    def __init__(self, config):
        self.config = config
        layout = struct_layout(isa.Compute, config)
        super().__init__({
            "reading": In(layout),
            "begin": In(1),
            "drain": In(1),
            "copied": Out(1),
            "writing": Out(layout),
            "start": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.start.eq(self.drain)
        if not self.config.overlap:
            m.d.comb += [self.writing.eq(self.reading), self.copied.eq(1)]
            return m
        between = Signal(self.writing.shape())
        occupied, waiting, new, free = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            new.eq(waiting | self.begin & ~self.reading.partial),
            free.eq(~occupied | self.drain),
            self.copied.eq(~new),
        ]
        m.d.sync += [
            waiting.eq(new & ~free),
            occupied.eq(new | occupied & ~self.drain),
        ]
        with m.If(new & free):
            m.d.sync += between.eq(self.reading)
        with m.If(self.drain):
            m.d.sync += self.writing.eq(between)
        return m
