"""Instruction words to the three units, one at a time."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow.isa import INSTRUCTIONS, OPCODE_BITS, UNITS, Unit, instruction_bits


class ProgramOrder(wiring.Component):
    """Offer each instruction to its unit, and keep it where it is until the unit has done it.

    So nothing needs a copy of it, and what it depends on is done before it begins: a program's order is a
    sequential one, and tokens are not looked at. An instruction whose opcode does not exist is dropped with a
    pulse of `error_illegal`.

    instructions : stream of instruction words
    load, compute, store : streams of the instructions' layouts (`quantflow.isa`), no register in between; a
        payload stays after it was taken, to the cycle of its `done`
    done : one bit per unit of `isa.Unit`, a pulse, at least one cycle after the unit took its instruction
    """

    latency = 0  # cycles from an instruction word to its unit

    def __init__(self, config):
        self.config = config
        units = {
            opcode.name.lower(): Out(stream.Signature(struct_layout(type_, config)))
            for opcode, type_ in INSTRUCTIONS.items()
        }
        super().__init__({
            "instructions": In(stream.Signature(unsigned(instruction_bits(config)))),
            **units,
            "done": In(UNITS),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        word, taken = self.instructions.payload, Signal()
        outputs = {opcode: getattr(self, opcode.name.lower()) for opcode in INSTRUCTIONS}
        m.d.comb += [output.payload.eq(word[: output.payload.shape().size]) for output in outputs.values()]
        with m.Switch(word[:OPCODE_BITS]):
            for opcode, output in outputs.items():
                with m.Case(opcode):
                    m.d.comb += [
                        output.valid.eq(self.instructions.valid & ~taken),
                        self.instructions.ready.eq(self.done[Unit[opcode.name]]),
                    ]
            with m.Default():
                m.d.comb += [self.instructions.ready.eq(1), self.error_illegal.eq(self.instructions.valid)]
        begins = Cat(output.valid & output.ready for output in outputs.values()).any()
        m.d.sync += taken.eq((taken | begins) & ~self.instructions.ready)
        return m
