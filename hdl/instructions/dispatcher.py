"""Instruction words to the three units' queues."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow.isa import INSTRUCTIONS, OPCODE_BITS, instruction_bits


class Dispatcher(wiring.Component):
    """Sort instructions by opcode into one queue of `config.queue_depth` per unit.

        queue[opcode] <- instruction

    A full queue holds up every later instruction, whatever its unit. An instruction whose opcode
    does not exist is dropped with a pulse of `error_illegal`.

    instructions : stream of instruction words
    load, compute, store : streams of the instructions' layouts (`quantflow.isa`)
    idle : the queues are empty and nothing is offered
    """

    latency = 1  # cycles from an instruction word to its queue's end, when empty

    def __init__(self, config):
        self.config = config
        units = {
            opcode.name.lower(): Out(stream.Signature(struct_layout(type_, config)))
            for opcode, type_ in INSTRUCTIONS.items()
        }
        super().__init__({
            "instructions": In(stream.Signature(unsigned(instruction_bits(config)))),
            **units,
            "error_illegal": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        queues = {opcode: self._queue(m, opcode.name.lower()) for opcode in INSTRUCTIONS}
        occupied = Cat(queue.r_rdy for queue in queues.values())
        opcode = Signal(OPCODE_BITS)
        m.d.comb += [
            opcode.eq(self.instructions.payload[:OPCODE_BITS]),
            self.idle.eq(~self.instructions.valid & ~occupied.any()),
        ]
        with m.Switch(opcode):
            for value, queue in queues.items():
                with m.Case(value):
                    m.d.comb += [
                        queue.w_en.eq(self.instructions.valid),
                        self.instructions.ready.eq(queue.w_rdy),
                    ]
            with m.Default():
                m.d.comb += [
                    self.instructions.ready.eq(1),
                    self.error_illegal.eq(self.instructions.valid),
                ]
        return m

    def _queue(self, m, unit):
        """A queue between the instruction words and the unit's stream."""
        output = getattr(self, unit)
        width = output.payload.shape().size
        m.submodules[f"{unit}_queue"] = queue = SyncFIFO(width=width, depth=self.config.queue_depth)
        m.d.comb += [
            queue.w_data.eq(self.instructions.payload[:width]),
            output.payload.eq(queue.r_data),
            output.valid.eq(queue.r_rdy),
            queue.r_en.eq(output.ready),
        ]
        return queue
