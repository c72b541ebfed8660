"""A run ends, good or bad, and the machine is ready for the next, whatever the host and the units do."""

import pytest
from amaranth import Mux, Signal

from hdl.control.run_sequencer import ERRORS, RunSequencer
from quantflow.registers import Error
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.spec import Spec, assume, claim, delayed, mutated

pytestmark = [pytest.mark.slow, needs_prover]

FLUSH_CYCLES = 5  # in which the memory ports end what they have begun, at most; any number will do
IDLE_CYCLES = 2  # in which they are seen idle before the machine is


class Runs(Spec):
    """The docstring's states by their outputs, and how long each lasts."""

    def describe(self, m):
        run = self.component
        stopping, failing = run.flush, run.errors.as_value().any()
        was_busy, was_running = delayed(m, run.busy), delayed(m, run.running)
        was_stopping, was_failing = delayed(m, stopping), delayed(m, run.running & failing)
        was_finished = delayed(m, run.finished & ~run.begin)
        claim(m, "one_state", ~run.busy | (run.prepare + run.running + stopping == 1))
        claim(m, "idle_does_nothing", run.busy | ~(run.prepare | run.running | stopping | run.clear | run.begin))
        claim(m, "starts_when_idle", run.prepare == delayed(m, run.start & ~run.busy))
        claim(m, "begins_once", run.begin == delayed(m, run.prepare))
        claim(m, "runs_after_preparing", ~run.begin | run.running)
        claim(m, "clears", run.clear == (run.prepare | stopping))
        claim(m, "error_stops", ~was_failing | stopping)
        claim(m, "stops_only_for_errors", ~stopping | was_failing | was_stopping)
        claim(m, "finish_ends", ~(was_running & was_finished & ~was_failing) | (~run.busy & run.done))
        claim(m, "runs_on", ~(was_running & ~was_finished & ~was_failing) | run.running)
        claim(m, "one_result", ~(run.done & run.failed))
        claim(m, "result_only_when_idle", ~(run.done | run.failed) | ~run.busy)
        claim(m, "idle_has_a_result", ~(was_busy & ~run.busy) | run.done | run.failed)
        claim(m, "error_is_known", (run.error != Error.NONE) == (stopping | run.failed))
        was_idle = delayed(m, stopping & run.memory_idle)
        claim(m, "waits_for_the_ports", ~was_stopping | stopping | (was_idle & delayed(m, was_idle)))
        self._lowest_error(m, was_failing)
        self._ending(m)

    def _lowest_error(self, m, was_failing):
        lowest = Signal.like(self.component.error)
        for name in reversed(ERRORS):
            with m.If(self.component.errors[name]):
                m.d.comb += lowest.eq(Error[name.upper()])
        claim(m, "lowest_error", ~was_failing | (self.component.error == delayed(m, lowest)))

    def _ending(self, m):
        """Ports that are idle within FLUSH_CYCLES of `flush`, and stay so, end every stop soon after."""
        run = self.component
        stopping = Signal(range(FLUSH_CYCLES + IDLE_CYCLES + 2))
        with m.If(~run.flush):
            m.d.sync += stopping.eq(0)
        with m.Elif(stopping != FLUSH_CYCLES + IDLE_CYCLES + 1):
            m.d.sync += stopping.eq(stopping + 1)
        assume(m, ~run.flush | ~delayed(m, run.flush & run.memory_idle) | run.memory_idle)
        assume(m, (stopping < FLUSH_CYCLES) | run.memory_idle)
        claim(m, "every_stop_ends", stopping <= FLUSH_CYCLES + IDLE_CYCLES)
        # For the induction: the second of IDLE_CYCLES is the last.
        idle = Signal(range(IDLE_CYCLES + 1))
        m.d.sync += idle.eq(Mux(run.flush & run.memory_idle, Mux(idle == IDLE_CYCLES, IDLE_CYCLES, idle + 1), 0))
        claim(m, "idle_is_seen", ~run.flush | (idle < IDLE_CYCLES))
        claim(m, "idle_in_time", ~run.flush | (stopping <= FLUSH_CYCLES + idle))


def test_run_sequencer(tmp_path):
    assert refuted(Runs(RunSequencer()), tmp_path, 3) == set()


MUTATIONS = {
    "waits for the host": ("m.If(self.memory_idle & was_idle)", "m.If(self.memory_idle & was_idle & self.start)"),
    "does not wait for the ports": ("m.If(self.memory_idle & was_idle)", "m.If(self.memory_idle & ~was_idle)"),
    "is done in spite of an error": ('m.next = "STOPPING"', 'm.next = "IDLE"'),
    "ends before it begins": ("m.Elif(self.finished & ~self.begin)", "m.Elif(self.finished)"),
    "keeps the highest error": ("for name in reversed(ERRORS)", "for name in ERRORS"),
    "keeps an old result": ("self.done.eq(0), self.failed.eq(0)", "self.done.eq(0)"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_sequencer_is_refuted(name, tmp_path):
    assert refuted(Runs(mutated(RunSequencer, MUTATIONS[name])()), tmp_path, 12, bounded=True)
