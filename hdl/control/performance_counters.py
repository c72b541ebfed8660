"""What happened during a run, counted."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import LITE_DATA_BITS
from quantflow.registers import COUNTERS, Register

EVENTS = tuple(register.name.lower() for register in COUNTERS if register != Register.CYCLES)
ALWAYS = (Register.CYCLES, Register.COMPUTE_STEPS)  # counters of every machine


class PerformanceCounters(wiring.Component):
    """One counter for each register of `COUNTERS`.

        counts[CYCLES] += running;  counts[event] += running & events[event]

    32 bits, wrapping. `clear` makes all of them zero and goes before counting. Those that the configuration leaves out
    stay zero. Events are counted a cycle after they are shown: they come from all over the machine, and late.

    Ports: clear, running In(1); events In(one bit by name for each of EVENTS);
    counts Out(ArrayLayout(32, len(COUNTERS)), in the order of COUNTERS).
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "clear": In(1),
            "running": In(1),
            "events": In(data.StructLayout({name: 1 for name in EVENTS})),
            "counts": Out(data.ArrayLayout(LITE_DATA_BITS, len(COUNTERS))),
        })

    def elaborate(self, platform):
        m = Module()
        seen = Signal.like(self.events)
        counting = self.running & ~self.clear
        m.d.sync += seen.eq(Mux(counting, self.events, 0))
        with m.If(self.clear):
            m.d.sync += self.counts.eq(0)
        with m.Else():
            for count, register in zip(self.counts, COUNTERS, strict=True):
                if not self.config.counters and register not in ALWAYS:
                    continue
                happened = self.running if register == Register.CYCLES else seen[register.name.lower()]
                m.d.sync += count.eq(count + happened)
        return m
