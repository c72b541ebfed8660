"""When an instruction's last word lies in the scratchpad."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.delay import delayed
from hdl.sequencing.countdown import Countdown

MOST_UNDER_WAY = 15  # instructions that the unit has taken and not done; a TokenGate lets fewer in


class Completion(wiring.Component):
    """Follows the last steps of instructions along pipelines of fixed latency.

    `done` pulses `done_cycles` cycles behind each `ending`, so for each instruction and in order.
    `written` is set from `written_cycles` + 1 cycles behind the last `ending` of an instruction that
    is not `partial`: what is read by an instruction that begins then is what the ones before it wrote.

    Ports: ending, partial In(1); done, written Out(1).
    """

    def __init__(self, *, done_cycles, written_cycles):
        self.done_cycles, self.written_cycles = done_cycles, written_cycles
        super().__init__({"ending": In(1), "partial": In(1), "done": Out(1), "written": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.writing = writing = Countdown(self.written_cycles)
        m.d.comb += [
            self.done.eq(delayed(m, self.ending, self.done_cycles, name="ending")),
            writing.load.eq(self.ending & ~self.partial),
            writing.cycles.eq(self.written_cycles),
            self.written.eq(~writing.pending),
        ]
        return m
