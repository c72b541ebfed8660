"""From program memory to the units: fetch, dispatch, dependency tokens."""

from amaranth import Cat, Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import burst_layout
from hdl.instructions.dispatcher import Dispatcher
from hdl.instructions.fetch import Fetch
from hdl.instructions.program_order import ProgramOrder
from hdl.instructions.token_gate import TokenGate
from hdl.layouts import struct_layout
from quantflow.isa import INSTRUCTIONS, UNITS, Opcode, Unit


class InstructionPath(wiring.Component):
    """Fetch a program and hand each unit its instructions, each once its tokens are there.

    Without `config.overlap` instructions are done one after the other instead: see ProgramOrder.

    A pulse of `start` takes `program_address` and `program_length`. `done` has one bit per unit of
    `isa.Unit`: the unit finished its oldest instruction; its tokens then go to the other units.

    Ports: bursts Out, beats In: MemoryReader's fetch client; load, compute, store Out: streams of
    the instructions' layouts; waiting Out: units whose next instruction lacks a token; idle Out:
    every instruction of the program has been performed; error_illegal Out: pulse; error_damaged
    Out: the next instruction is not what was sealed, and held back until the component is reset, or
    there is none.
    """

    def __init__(self, config):
        self.config = config
        units = {
            opcode.name.lower(): Out(stream.Signature(struct_layout(type_, config)))
            for opcode, type_ in INSTRUCTIONS.items()
        }
        super().__init__({
            "start": In(1),
            "program_address": In(config.memory_address_bits),
            "program_length": In(config.memory_address_bits),
            "bursts": Out(stream.Signature(burst_layout(config))),
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            **units,
            "done": In(UNITS),
            "waiting": Out(UNITS),
            "idle": Out(1),
            "error_illegal": Out(1),
            "error_damaged": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = Fetch(self.config)
        connect(m, fetch.bursts, flipped(self.bursts))
        connect(m, flipped(self.beats), fetch.beats)
        receiver, units_idle = self._overlapped(m) if self.config.overlap else self._in_turn(m)
        # A damaged instruction stays where it is, and the program with it.
        m.d.comb += [
            receiver.instructions.payload.eq(fetch.instructions.payload),
            receiver.instructions.valid.eq(fetch.instructions.valid & ~fetch.damaged),
            fetch.instructions.ready.eq(receiver.instructions.ready & ~fetch.damaged),
            fetch.start.eq(self.start),
            fetch.program_address.eq(self.program_address),
            fetch.program_length.eq(self.program_length),
            self.idle.eq(fetch.idle & units_idle),
            self.error_illegal.eq(receiver.error_illegal),
            # A program of no instructions lacks its last one.
            self.error_damaged.eq(fetch.damaged | (self.start & (self.program_length == 0))),
        ]
        return m

    def _in_turn(self, m):
        """One instruction at a time: what takes it, and that units are idle where nothing is left to fetch."""
        m.submodules.order = order = ProgramOrder(self.config)
        for unit in Unit:
            name = unit.name.lower()
            connect(m, getattr(order, name), flipped(getattr(self, name)))
        m.d.comb += order.done.eq(self.done)
        return order, 1

    def _overlapped(self, m):
        """Queues and tokens: what takes the instructions, and whether all that it took are done."""
        m.submodules.dispatcher = dispatcher = Dispatcher(self.config)
        gates = {unit: self._gate(m, dispatcher, unit) for unit in Unit}
        for receiver, gate in gates.items():
            m.d.comb += gate.tokens.eq(Cat(gates[sender].signal[receiver] for sender in Unit))
        m.d.comb += self.waiting.eq(Cat(gate.waiting for gate in gates.values()))
        return dispatcher, dispatcher.idle & Cat(gate.idle for gate in gates.values()).all()

    def _gate(self, m, dispatcher, unit):
        """The token gate between a unit's queue and its stream."""
        name = Opcode[unit.name].name.lower()
        m.submodules[f"{name}_gate"] = gate = TokenGate(self.config, unit)
        connect(m, getattr(dispatcher, name), gate.instructions)
        connect(m, gate.gated, flipped(getattr(self, name)))
        m.d.comb += gate.done.eq(self.done[unit])
        return gate
