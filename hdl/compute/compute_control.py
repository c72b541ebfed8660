"""One compute instruction after the other."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow import isa


class ComputeControl(wiring.Component):
    """Takes an instruction, checks it, starts the sequencers and waits until they have finished.

    `instruction` is constant from `start`, which comes `latency` cycles after the transfer, to
    `finished`, which ends the instruction: `done` is set in the same cycle and the next transfer
    is possible one cycle later. An illegal instruction (an operation that does not exist, a loop
    or a phase count of zero) makes `error_illegal` pulse and stops the unit until reset.

    Ports: instructions In(stream of isa.Compute); instruction Out(isa.Compute); start Out(1);
    finished In(1); done, busy, error_illegal Out(1).
    """

    latency = 2  # the check is wide: it has a cycle of its own

    def __init__(self, config):
        self.config = config
        layout = struct_layout(isa.Compute, config)
        super().__init__({
            "instructions": In(stream.Signature(layout)),
            "instruction": Out(layout),
            "start": Out(1),
            "finished": In(1),
            "done": Out(1),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        legal = Signal()
        m.d.comb += self.busy.eq(1)
        m.d.sync += legal.eq(self._legal())
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.instructions.ready.eq(1), self.busy.eq(0)]
                m.d.sync += self.instruction.eq(self.instructions.payload)
                with m.If(self.instructions.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "START"
            with m.State("START"):
                with m.If(legal):
                    m.d.comb += self.start.eq(1)
                    m.next = "RUN"
                with m.Else():
                    m.d.comb += self.error_illegal.eq(1)
                    m.next = "STOPPED"
            with m.State("RUN"):
                m.d.comb += self.done.eq(self.finished)
                with m.If(self.finished):
                    m.next = "IDLE"
            with m.State("STOPPED"):
                m.d.comb += self.busy.eq(0)
        return m

    def _legal(self):
        instruction = self.instruction
        at_least_one = (
            instruction.output_blocks,
            instruction.output_rows,
            instruction.output_groups,
            instruction.window_rows,
            instruction.window_columns,
            instruction.kernel_rows,
            instruction.kernel_columns,
            instruction.input_blocks,
            instruction.source.phases,
            instruction.destination.phases,
        )
        exists = Cat(instruction.operation == operation for operation in isa.Operation).any()
        return exists & Cat(value != 0 for value in at_least_one).all()
