"""Bursts stay inside their page and their length, and give exactly the beats asked for."""

import pytest
from amaranth import Cat, Signal
from amaranth.utils import exact_log2

from hdl.bus.axi import ADDRESS_BITS, BOUNDARY_BYTES
from hdl.bus.burst_splitter import BurstSplitter
from quantflow.config import Config
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.spec import Spec, claim, mutated, stays_until_taken

pytestmark = [pytest.mark.slow, needs_prover]

CONFIGS = {
    "narrow": Config(pixels=3, lanes=4, port_bits=32, burst_beats=16),
    "pages_shorter_than_bursts": Config(pixels=1, lanes=32, port_bits=256, burst_beats=256),
    "several_ports": Config(pixels=1, lanes=16, port_bits=32, ports=4, burst_beats=16),
}


class Split(Spec):
    """The splitter beside the address and the number of the beats that a request still has."""

    def describe(self, m):
        request, burst, config = self.component.requests, self.component.bursts, self.component.config
        beats = burst.payload.length + 1
        taken, given = request.valid & request.ready, burst.valid & burst.ready
        owed = Signal.like(request.payload.beats)
        address = Signal(ADDRESS_BITS - exact_log2(config.ports))  # of the next of them
        with m.If(given):
            m.d.sync += [owed.eq(owed - beats), address.eq(address + beats * config.port_bytes)]
        with m.If(taken):
            first = (request.payload.address >> exact_log2(config.beat_bytes)) * config.port_bytes
            m.d.sync += [owed.eq(request.payload.beats), address.eq(first)]
        claim(m, "offered_until_done", burst.valid == (owed != 0))
        claim(m, "next_request_when_done", request.ready == ((owed == 0) | (given & (owed == beats))))
        claim(m, "no_beat_too_many", ~burst.valid | (beats <= owed))
        claim(m, "follows_the_last_burst", ~burst.valid | (burst.payload.address == address))
        self._legal(m, burst.payload.address, beats, owed)
        stays_until_taken(m, "burst", burst.valid, burst.ready, burst.payload)
        # For the induction: what is in the registers.
        claim(m, "remaining", ~burst.valid | (self.inside("remaining") == owed - 1))
        claim(m, "position", ~burst.valid | (self._position() == address))

    def _legal(self, m, address, beats, owed):
        """What AXI4 and the configuration allow, and no shorter bursts than the docstring's."""
        config, burst = self.component.config, self.component.bursts
        longest_bytes = min(config.burst_beats * config.port_bytes, BOUNDARY_BYTES)
        bytes_ = beats * config.port_bytes
        ends_at_multiple = (address + bytes_) % longest_bytes == 0
        claim(m, "inside_a_page", ~burst.valid | (address % BOUNDARY_BYTES + bytes_ <= BOUNDARY_BYTES))
        claim(m, "not_too_long", ~burst.valid | (beats <= config.burst_beats))
        claim(m, "as_long_as_possible", ~burst.valid | (beats == owed) | ends_at_multiple)

    def _position(self):
        return Cat(self.inside("inside"), self.inside("multiple")) << exact_log2(self.component.config.port_bytes)


@pytest.mark.parametrize("name", CONFIGS)
def test_burst_splitter(name, tmp_path):
    assert refuted(Split(BurstSplitter(CONFIGS[name])), tmp_path, 2) == set()


MUTATIONS = {
    "crosses pages": ("return min(self.config.burst_beats, ", "return min(4 * self.config.burst_beats, 4 * "),
    "gives beats too many": ("Mux(final, remaining, ~inside)", "~inside"),
    "stops in the middle": ("remaining.eq(left)", "remaining.eq(left - 1)"),
    "forgets a beat": ("remaining.eq(request.beats - 1)", "remaining.eq(request.beats)"),
    "loses a request": ("self.requests.valid & (request.beats != 0)", "self.requests.valid & (request.beats != 1)"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_splitter_is_refuted(name, tmp_path):
    mutant = mutated(BurstSplitter, MUTATIONS[name])
    assert refuted(Split(mutant(CONFIGS["narrow"])), tmp_path, 4, bounded=True)
