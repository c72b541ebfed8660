"""A number of cycles to wait."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Countdown(wiring.Component):
    """`pending` is set in the `cycles` cycles behind each `load`, 0 to `limit` of them.

    A `load` while it is pending counts anew.
    """

    latency = 1

    def __init__(self, limit):
        self.limit = limit
        super().__init__({"load": In(1), "cycles": In(range(limit + 1)), "pending": Out(1)})

    def elaborate(self, platform):
        m = Module()
        left = Signal.like(self.cycles)
        # Counting down keeps `pending` a register: nothing is left behind when 1 is.
        with m.If(self.load):
            m.d.sync += [left.eq(self.cycles), self.pending.eq(self.cycles != 0)]
        with m.Elif(self.pending):
            m.d.sync += [left.eq(left - 1), self.pending.eq(left != 1)]
        return m
