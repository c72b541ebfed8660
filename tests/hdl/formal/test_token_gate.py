"""Tokens are neither lost nor made, and no instruction passes without its own."""

import pytest
from amaranth import Signal

from hdl.instructions.token_gate import IN_FLIGHT, TOKEN_BITS, TokenGate
from quantflow.config import Config
from quantflow.isa import Unit
from tests.hdl.formal.prover import NotInductive, needs_prover, refuted
from tests.hdl.formal.queues import Queue
from tests.hdl.formal.spec import Spec, assume, claim, delayed, mutated

pytestmark = [pytest.mark.slow, needs_prover]

CONFIG = Config(pixels=1, lanes=4, port_bits=32)
MOST = (1 << TOKEN_BITS) - 1


class Tokens(Spec):
    """The gate beside its docstring's tokens, counted without a limit."""

    def __init__(self, gate, in_flight=IN_FLIGHT):
        super().__init__(gate)
        self.in_flight = in_flight

    def describe(self, m):
        gate = self.component
        wait = gate.instructions.payload.wait
        self.passed = gate.gated.valid & gate.gated.ready
        offered, taken = gate.instructions.valid, gate.instructions.ready
        self._stays(m, offered, taken, gate.instructions.payload.as_value())
        lacking = 0
        for unit in Unit:
            if unit != gate.unit:
                held = self._count(m, unit)
                lacking = lacking | (wait[unit] & (held == 0))
                claim(m, f"{unit.name.lower()}_token_was_there", ~(self.passed & wait[unit]) | (held != 0))
        queue = self._in_flight(m)
        allowed = offered & ~lacking & (queue.count != self.in_flight)
        claim(m, "waiting", gate.waiting == delayed(m, offered & lacking))
        claim(m, "passes", ~gate.gated.valid | allowed)
        claim(m, "passes_a_cycle_later", gate.gated.valid == delayed(m, allowed & ~self.passed))
        claim(m, "taken_as_it_passes", (offered & taken) == self.passed)
        claim(m, "unchanged", gate.gated.payload.as_value() == gate.instructions.payload.as_value())
        claim(m, "idle", gate.idle == (queue.count == 0))

    def _stays(self, m, offered, taken, payload):
        """The queue before the gate offers what it offers until it is taken."""
        waited, before = delayed(m, offered & ~taken), delayed(m, payload)
        assume(m, ~waited | (offered & (payload == before)))

    def _count(self, m, unit):
        """What arrived less what was spent, while no more than the promised number is held."""
        name = unit.name.lower()
        arrived, spent = self.component.tokens[unit], self.passed & self.component.instructions.payload.wait[unit]
        count = Signal(TOKEN_BITS + 1, name=f"{name}_count")
        m.d.sync += count.eq(count + arrived - spent)
        assume(m, ~((count == MOST) & arrived & ~spent))
        claim(m, f"{name}_tokens_kept", self.inside(f"held_{name}") == count)
        return count

    def _in_flight(self, m):
        """`done` sends the signals of the instructions in the order in which they passed."""
        gate = self.component
        finished = gate.done & ~gate.idle
        queue = Queue(
            m,
            "signals",
            push=self.passed,
            word_in=gate.instructions.payload.signal,
            pop=finished,
            word_out=gate.signal,
            depth=self.in_flight,
        )
        queue.kept_in(m, self, "in_flight")
        claim(m, "no_signal_of_nothing", finished | (gate.signal == 0))
        return queue


class Limit(Spec):
    """At the promised number of tokens, more of them change nothing."""

    def describe(self, m):
        for unit in Unit:
            if unit != self.component.unit:
                held = self.inside(f"held_{unit.name.lower()}")
                was_full, was_spent = delayed(m, held == MOST), delayed(m, self.component.instructions.ready)
                claim(m, f"{unit.name.lower()}_does_not_wrap", ~was_full | was_spent | (held == MOST))


@pytest.mark.parametrize("unit", Unit)
def test_token_gate(unit, tmp_path):
    assert refuted(Tokens(TokenGate(CONFIG, unit)), tmp_path / "tokens", 1) == set()
    assert refuted(Limit(TokenGate(CONFIG, unit)), tmp_path / "limit", 2) == set()


MUTATIONS = {
    "loses a token": ("m.If(arrived & ~spent & ~held.all())", "m.If(arrived & ~held.all())"),
    "starts without tokens": ("lacking[unit].eq(instruction.wait[unit] & (held == 0))", "lacking[unit].eq(0)"),
    "sends other signals": ("in_flight.w_data.eq(instruction.signal)", "in_flight.w_data.eq(instruction.wait)"),
    "sends old signals": ("(self.done & in_flight.r_rdy).replicate", "self.done.replicate"),
    "overflows": ("~lacking.any() & in_flight.w_rdy", "~lacking.any()"),
    "passes what is gone": ("in_flight.w_rdy & ~passed", "in_flight.w_rdy"),
    "is idle too soon": ("self.idle.eq(~in_flight.r_rdy)", "self.idle.eq(~in_flight.r_rdy | passed)"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_gate_is_refuted(name, tmp_path):
    mutant = mutated(TokenGate, MUTATIONS[name], (f"IN_FLIGHT = {IN_FLIGHT}", "IN_FLIGHT = 2"))  # soon full
    assert refuted(Tokens(mutant(CONFIG, Unit.COMPUTE), in_flight=2), tmp_path, 6, bounded=True)


def test_a_count_that_wraps_is_refuted(tmp_path):
    """From any state: the prover would need 65,535 cycles to fill a counter."""
    mutant = mutated(TokenGate, ("arrived & ~spent & ~held.all()", "arrived & ~spent"))
    with pytest.raises(NotInductive, match="load_does_not_wrap"):
        refuted(Limit(mutant(CONFIG, Unit.COMPUTE)), tmp_path, 2)
