"""One compute instruction after the other."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.compute.completion import MOST_UNDER_WAY
from hdl.compute.instruction_check import InstructionCheck
from hdl.layouts import struct_layout
from quantflow import isa


class ComputeControl(wiring.Component):
    """Takes the next instruction and checks it while one runs, and starts it when it may begin.

    It begins when the read side is not `running`, the write side has its own copy of the
    instruction before (`copied`), and everything is `written` or the instruction `overlaps`:
    `reading` then becomes the instruction, `start` being set in its first cycle. From the transfer
    to `start` it takes at least `latency` cycles, from the last cycle with `running` to `start`
    two. An illegal instruction, when its turn has come, makes `error_illegal` pulse and stops the
    unit until reset.

    Ports: instructions In(stream of isa.Compute); running, written, copied, done In(1); reading
    Out(isa.Compute); start, busy, error_illegal Out(1).
    """

    latency = 2 + InstructionCheck.latency

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
        following = Signal(self.reading.shape())
        taken, checked, stopped = Signal(), Signal(), Signal()
        transfer, turn, begins = Signal(), Signal(), Signal()
        under_way = Signal(range(MOST_UNDER_WAY + 1))
        m.d.comb += [
            check.instruction.eq(following),
            self.instructions.ready.eq(~taken & ~under_way.all()),
            transfer.eq(self.instructions.valid & self.instructions.ready),
            turn.eq(checked & ~self.start & ~self.running & self.copied & (following.overlaps | self.written)),
            begins.eq(turn & check.legal),
            self.error_illegal.eq(turn & ~check.legal & ~stopped),
        ]
        m.d.sync += [self.start.eq(begins), checked.eq(taken & ~begins), stopped.eq(stopped | self.error_illegal)]
        with m.If(transfer):
            m.d.sync += [following.eq(self.instructions.payload), taken.eq(1)]
        with m.If(begins):
            m.d.sync += [self.reading.eq(following), taken.eq(0)]
        m.d.sync += under_way.eq(under_way + transfer - self.done)
        m.d.comb += self.busy.eq(under_way.any() & ~stopped)
        return m
