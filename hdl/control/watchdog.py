"""Notices a machine that stands still."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Watchdog(wiring.Component):
    """`expired` pulses behind `limit` cycles of `running` in succession without `progress`.

    Counts anew after expiry and after each cycle that does not run.
    """

    def __init__(self, limit):
        self.limit = limit
        super().__init__({"running": In(1), "progress": In(1), "expired": Out(1)})

    def elaborate(self, platform):
        m = Module()
        idle_cycles = Signal(range(self.limit))
        standing, last = self.running & ~self.progress, idle_cycles == self.limit - 1
        m.d.sync += self.expired.eq(standing & last)
        with m.If(standing & ~last):
            m.d.sync += idle_cycles.eq(idle_cycles + 1)
        with m.Else():
            m.d.sync += idle_cycles.eq(0)
        return m
