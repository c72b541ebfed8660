"""Fetch asks for no more than it has room for, and hands on as many instructions as the program has."""

from dataclasses import replace

import pytest
from amaranth import Mux, Signal

from hdl.instructions.fetch import Fetch
from quantflow.config import Config
from tests.hdl.formal.prover import NotInductive, needs_prover, refuted
from tests.hdl.formal.spec import Spec, assume, claim, mutated, stays_until_taken

pytestmark = [pytest.mark.slow, needs_prover]

CONFIG = Config(pixels=1, lanes=4, port_bits=64, burst_beats=16)
WITHOUT_OVERLAP = replace(CONFIG, overlap=False)


class Room(Spec):
    """Fetch beside the beats that the memory owes and the instructions that the program still has.

    The memory sends only what it was asked for, at any speed; a start comes while fetch is idle.
    """

    def describe(self, m):
        fetch = self.component
        beats, length = fetch.instruction_beats, len(fetch.bursts.payload.length)
        delivered = fetch.instructions.valid & fetch.instructions.ready
        asked = fetch.bursts.valid & fetch.bursts.ready
        owed = Signal(range(2 * fetch.prefetch * beats + (1 << length)))
        left = Signal.like(fetch.program_length)
        arrived = fetch.beats.valid & fetch.beats.ready
        m.d.sync += owed.eq(owed + Mux(asked, fetch.bursts.payload.length + 1, 0) - arrived)
        m.d.sync += left.eq(Mux(fetch.start, fetch.program_length, left - delivered))
        assume(m, ~fetch.beats.valid | (owed != 0))
        assume(m, ~fetch.start | (left == 0))
        claim(m, "room_for_what_was_asked", fetch.beats.ready | (owed == 0))
        claim(m, "never_asks_for_more", owed <= fetch.prefetch * beats)
        claim(m, "no_instruction_too_many", ~delivered | (left != 0))
        claim(m, "idle_at_the_end", fetch.idle == ((left == 0) & ~fetch.start))
        claim(m, "nothing_owed_when_idle", ~fetch.idle | (owed == 0))
        stays_until_taken(m, "burst", fetch.bursts.valid, fetch.bursts.ready, fetch.bursts.payload)
        stays_until_taken(
            m, "instruction", fetch.instructions.valid, fetch.instructions.ready, fetch.instructions.payload
        )
        self._accounts(m, owed, left)

    def _accounts(self, m, owed, left):
        """For the induction: where the beats of the instructions under way are."""
        fetch, claimed, count = self.component, self.inside("claimed"), self.inside("count")
        beats = fetch.instruction_beats
        to_ask = Mux(fetch.bursts.valid, self.inside("remaining", "splitter") + 1, 0)
        assembled = count + Mux(fetch.instructions.valid, beats, 0)
        queued = self.inside("level", "queue") if fetch.config.overlap else 0
        claim(m, "instructions", left == self.inside("remaining") + claimed)
        claim(m, "claimed", claimed <= fetch.prefetch)
        claim(m, "assembled", (count < beats) & (queued <= fetch.prefetch * beats))
        claim(m, "beats", claimed * beats == to_ask + owed + queued + assembled)


@pytest.mark.parametrize("config", [CONFIG, WITHOUT_OVERLAP], ids=["overlap", "no overlap"])
def test_fetch(config, tmp_path):
    assert refuted(Room(Fetch(config)), tmp_path, 2) == set()


MUTATIONS = {
    "asks for too much": ("(claimed != self.prefetch)", "1"),
    "is idle too soon": ("(remaining == 0) & (claimed == 0)", "(remaining == 0)"),
    "changes an instruction": ("~self.instructions.valid | self.instructions.ready", "1"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_fetch_is_refuted(name, tmp_path):
    """From a state that the claims allow: the queue takes many cycles to fill."""
    mutant = mutated(Fetch, MUTATIONS[name])
    with pytest.raises(NotInductive):
        refuted(Room(mutant(CONFIG)), tmp_path, 2)
