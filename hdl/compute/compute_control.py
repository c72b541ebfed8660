"""One compute instruction after the other."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.compute.completion import MOST_UNDER_WAY
from hdl.compute.instruction_check import InstructionCheck
from hdl.layouts import struct_layout
from quantflow import isa


class ComputeControl(wiring.Component):
    """Checks the next instruction while one runs, and takes and starts it when it may begin.

    It begins when the read side is not `running`, the write side has its own copy of the
    instruction before (`copied`), and everything is `written` or the instruction `overlaps`: it is
    taken, and is `reading` from the next cycle on, in which `start` is set. From the cycle in which it is offered
    to `start` it takes at least `latency` cycles, from the last cycle with `running` to `start`
    two. An illegal instruction, when its turn has come, makes `error_illegal` pulse and stops the
    unit until reset. Without `config.overlap` instructions stay on their stream until `done`: `reading` is the one
    that is there.

    Ports: instructions In(stream of isa.Compute); running, written, copied, done In(1); reading
    Out(isa.Compute); start, busy, error_illegal Out(1).
    """

    latency = 1 + InstructionCheck.latency

    def __init__(self, config):
        self.config = config
        layout = struct_layout(isa.Compute, config)
        super().__init__({
            "instructions": In(stream.Signature(layout)),
            "running": In(1),
            "written": In(1),
            "copied": In(1),
            "done": In(1),
            "reading": Out(layout),
            "start": Out(1),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.check = check = InstructionCheck(self.config)
        following = self.instructions.payload
        checked, overlaps, stopped = Signal(), Signal(), Signal()
        turn, begins = Signal(), Signal()
        under_way = Signal(range(MOST_UNDER_WAY + 1))
        m.d.comb += [
            check.instruction.eq(following),
            turn.eq(checked & ~self.start & ~self.running & self.copied & (overlaps | self.written)),
            begins.eq(turn & check.legal & ~under_way.all()),
            self.instructions.ready.eq(begins),
            self.error_illegal.eq(turn & ~check.legal & ~stopped),
        ]
        m.d.sync += [
            self.start.eq(begins),
            checked.eq(self.instructions.valid & ~begins),
            overlaps.eq(following.overlaps),
            stopped.eq(stopped | self.error_illegal),
            under_way.eq(under_way + begins - self.done),
        ]
        if self.config.overlap:
            with m.If(begins):
                m.d.sync += self.reading.eq(following)
        else:
            m.d.comb += self.reading.eq(following)
        m.d.comb += self.busy.eq(under_way.any() & ~stopped)
        return m
