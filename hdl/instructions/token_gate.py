"""Dependency tokens: an instruction waits for the work it depends on, and announces its own."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow.isa import INSTRUCTIONS, UNITS, Opcode, Unit

TOKEN_BITS = 16  # a unit holds at most 2**TOKEN_BITS - 1 unused tokens of each other unit
IN_FLIGHT = 8  # instructions that a unit has accepted and not finished


class TokenGate(wiring.Component):
    """Let a unit's instructions through when their tokens are there; send tokens when finished.

        on a pulse of tokens[u]:    held[u] += 1                    (up to 2**TOKEN_BITS - 1)
        next instruction:           passes when held[u] > 0 for every u in its `wait`,
                                    held[u] -= 1 for these
        on a pulse of done:         signal = `signal` of the oldest instruction that has passed
                                    and is not done

    A unit never waits for itself: its own bit in `wait` and `tokens` is ignored. `done` comes at
    least one cycle after the instruction passed; a `done` too many is ignored. Whether the next
    instruction may pass is decided in the cycle before it does, so that nothing waits for a queue's
    memory and a decision in one cycle: an instruction passes in every second cycle at most.

    instructions, gated : streams of the unit's instruction layout, no register for the payload between
    tokens, signal : one bit per unit of `isa.Unit`, each a pulse; `signal` in the cycle of `done`
    waiting : the next instruction lacked a token in the cycle before
    idle : every instruction that has passed is done
    """

    latency = 1  # cycles from `instructions` to `gated`; a token counts one cycle after its pulse

    def __init__(self, config, unit):
        self.config, self.unit = config, Unit(unit)
        layout = struct_layout(INSTRUCTIONS[Opcode[self.unit.name]], config)
        super().__init__({
            "instructions": In(stream.Signature(layout)),
            "gated": Out(stream.Signature(layout)),
            "tokens": In(UNITS),
            "done": In(1),
            "signal": Out(UNITS),
            "waiting": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.in_flight = in_flight = SyncFIFO(width=UNITS, depth=IN_FLIGHT)
        instruction = self.instructions.payload
        passed, may_pass, lacking = Signal(), Signal(), Signal(UNITS)
        m.d.comb += [
            self.gated.payload.eq(instruction),
            self.gated.valid.eq(may_pass),
            passed.eq(may_pass & self.gated.ready),
            self.instructions.ready.eq(passed),
            in_flight.w_data.eq(instruction.signal),
            in_flight.w_en.eq(passed),
            in_flight.r_en.eq(self.done),
            self.signal.eq(in_flight.r_data & (self.done & in_flight.r_rdy).replicate(UNITS)),
            self.idle.eq(~in_flight.r_rdy),
        ]
        m.d.sync += [
            # Only the instruction itself spends tokens and room: what it has it keeps until it passes.
            may_pass.eq(self.instructions.valid & ~lacking.any() & in_flight.w_rdy & ~passed),
            self.waiting.eq(self.instructions.valid & lacking.any()),
        ]
        for unit in Unit:
            if unit != self.unit:
                held = self._hold(m, unit, passed & instruction.wait[unit])
                m.d.comb += lacking[unit].eq(instruction.wait[unit] & (held == 0))
        return m

    def _hold(self, m, unit, spent):
        """Count the unused tokens of one unit."""
        held = Signal(TOKEN_BITS, name=f"held_{unit.name.lower()}")
        arrived = self.tokens[unit]
        with m.If(arrived & ~spent & ~held.all()):
            m.d.sync += held.eq(held + 1)
        with m.Elif(spent & ~arrived):
            m.d.sync += held.eq(held - 1)
        return held
