"""The read ports: bursts and beats in order, each to its client, and neither client waits for ever."""

import pytest
from amaranth import Cat, Mux, Signal
from amaranth.asserts import AnyConst

from hdl.bus.axi import BOUNDARY_BYTES, ERROR_BIT
from hdl.bus.memory_reader import CLIENTS, MemoryReader
from quantflow.config import Config
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.queues import Queue
from tests.hdl.formal.spec import Spec, assume, claim, delayed, mutated, stays_until_taken

pytestmark = [pytest.mark.slow, needs_prover]

COUNT_BITS = 4  # of the beats under way in Count


def config(ports, outstanding_bursts=3, waiting_beats=16):
    """Few beats wait where queues are to be full within the cycles looked at."""
    bursts = {"outstanding_bursts": outstanding_bursts, "waiting_beats": waiting_beats}
    return Config(pixels=1, lanes=4, port_bits=32, ports=ports, burst_beats=16, **bursts)


class Order(Spec):
    """For ever and whatever the memory does: what goes in comes out in order, in the right place."""

    def describe(self, m):
        reader = self.component
        self.taken = [burst.valid & burst.ready for burst in reader.bursts]
        any_taken = self.taken[0] | self.taken[1]
        claim(m, "one_client_at_a_time", ~(self.taken[0] & self.taken[1]))
        burst = Mux(self.taken[0], reader.bursts[0].payload.as_value(), reader.bursts[1].payload.as_value())
        burst = reader.bursts[0].payload.shape()(burst)
        for index, axi in enumerate(reader.axi):
            self._addresses(m, index, axi, any_taken, burst)
            self._beats(m, index, axi)
        self._turns(m)
        self._owners(m, any_taken)

    def _addresses(self, m, index, axi, taken, burst):
        base = self.component.bases[index] & ~(BOUNDARY_BYTES - 1)
        queue = Queue(
            m,
            f"burst_{index}",
            push=taken,
            word_in=Cat((base + burst.address)[: len(axi.araddr)], burst.length),
            pop=axi.arvalid & axi.arready,
            word_out=Cat(axi.araddr, axi.arlen[: len(burst.length)]),
            depth=2,
        )
        spare, waiting = (self.inside(name, f"port_{index}", "addresses") for name in ("spare", "waiting"))
        offered = Cat(axi.araddr, axi.arlen[: len(burst.length)])
        queue.is_registers(m, (axi.arvalid, offered), (waiting, spare[: len(offered)]))
        claim(m, "spare_no_longer", spare[len(axi.araddr) :] < self.component.config.burst_beats)
        claim(m, "no_longer", axi.arlen < self.component.config.burst_beats)
        stays_until_taken(m, f"address_{index}", axi.arvalid, axi.arready, axi.araddr, axi.arlen)

    def _beats(self, m, index, axi):
        reader = self.component
        bits = reader.config.port_bits
        parts = [beats.payload.word_select(index, bits) for beats in reader.beats]
        queue = Queue(
            m,
            f"beats_{index}",
            push=axi.rvalid & axi.rready,
            word_in=Cat(axi.rdata, axi.rlast, axi.rresp[ERROR_BIT]),
            pop=reader.beat,
            word_out=Cat(Mux(reader.beats[0].valid, *parts), self.inside("r_data", f"port_{index}", "queue")[bits:]),
            depth=self.component.config.waiting_beats,
        )
        queue.kept_in(m, self, f"port_{index}", "queue")

    def _turns(self, m):
        """While a client's burst waits, the other client has one burst taken at most."""
        for client in CLIENTS:
            bursts = self.component.bursts[client]
            passed_over = Signal(2, name="passed_over")
            with m.If(~bursts.valid | bursts.ready | self.component.flush):
                m.d.sync += passed_over.eq(0)
            with m.Elif(self.taken[1 - client]):
                m.d.sync += passed_over.eq(passed_over + 1)
            claim(m, f"client_{client}_has_its_turn", passed_over <= 1)
            # For the induction: who was passed over is next.
            claim(m, f"client_{client}_is_next", (passed_over == 0) | (self.inside("fetched") == client))

    def _owners(self, m, taken):
        """A beat goes to the client whose burst is the oldest, and `flush` stops both ends."""
        reader = self.component
        offered = [beats.valid for beats in reader.beats]
        # Count shows that beats come only while bursts are under way, where the memory keeps to its side.
        assume(m, ~reader.idle | ~self.inside("arrived"))
        finished = reader.beat & self.inside("r_data", "port_0", "queue")[reader.config.port_bits]
        queue = Queue(
            m,
            "owners",
            push=taken,
            word_in=self.taken[1],
            pop=finished,
            word_out=Mux(reader.flush, self.inside("r_data", "owners"), offered[1]),
            depth=reader.config.outstanding_bursts,
        )
        queue.kept_in(m, self, "owners")
        for client in CLIENTS:
            others = queue.following & (queue.ahead == 0) & (queue.followed != client)
            claim(m, f"client_{client}_gets_only_its_beats", ~(others & offered[client]))
        claim(m, "one_client_gets_a_beat", ~(offered[0] & offered[1]))
        claim(m, "flush_takes_nothing", ~reader.flush | ~(taken | offered[0] | offered[1] | reader.error))
        claim(m, "idle", reader.idle == (queue.count == 0))


class Count(Spec):
    """Behind a memory that answers what it was asked for: every beat once, and everything ends.

    Every burst has the same number of beats, whichever that is.
    """

    def __init__(self, component, length_bits, *, prompt=False):
        super().__init__(component)
        self.length_bits, self.prompt = length_bits, prompt

    def describe(self, m):
        reader = self.component
        length = AnyConst(self.length_bits)
        owed = [self._memory(m, axi, length) for axi in reader.axi]
        # A flush lasts until all is answered; what it swallows, nobody lacks.
        assume(m, reader.flush | ~delayed(m, reader.flush & ~reader.idle))
        lacking = []
        for client in CLIENTS:
            bursts, beats = reader.bursts[client], reader.beats[client]
            assume(m, bursts.payload.length == length)
            lacks = Signal(COUNT_BITS, name=f"client_{client}_lacks")
            asked = Mux(bursts.valid & bursts.ready, length + 1, 0)
            m.d.sync += lacks.eq(Mux(reader.flush, 0, lacks + asked - (beats.valid & beats.ready)))
            claim(m, f"client_{client}_gets_no_beat_too_many", ~beats.valid | (lacks != 0))
            lacking.append(lacks)
        levels = [self.inside("level", f"port_{index}", "queue") for index in range(len(owed))]
        left = Cat(*owed, *levels).any()
        claim(m, "idle_when_all_is_answered", ~reader.idle | ~left)
        claim(m, "idle_when_all_is_there", ~reader.idle | reader.flush | ~Cat(lacking).any())
        if self.prompt:
            self._waits(m)

    def _memory(self, m, axi, length):
        """Beats only for addresses that were taken, the last of each burst marked; returns how many are owed."""
        owed = Signal(COUNT_BITS)
        position = Signal.like(length)
        taken = axi.rvalid & axi.rready
        m.d.sync += owed.eq(owed + Mux(axi.arvalid & axi.arready, length + 1, 0) - taken)
        with m.If(taken):
            m.d.sync += position.eq(Mux(axi.rlast, 0, position + 1))
        assume(m, ~axi.rvalid | (owed != 0))
        assume(m, axi.rlast == (position == length))
        if self.prompt:
            assume(m, axi.arready & (axi.rvalid == (owed != 0)))
        return owed

    def _waits(self, m):
        """With prompt memory and clients, no burst waits for longer than all those before it take."""
        reader = self.component
        limit = (reader.config.outstanding_bursts + 1) * (1 << self.length_bits) + 3
        for client in CLIENTS:
            assume(m, reader.beats[client].ready)
            waits = Signal(range(limit + 2), name=f"client_{client}_waits")
            stopped = ~reader.bursts[client].valid | reader.bursts[client].ready | reader.flush
            m.d.sync += waits.eq(Mux(stopped, 0, waits + 1))
            claim(m, f"client_{client}_does_not_starve", waits <= limit)
        flushing = Signal(range(limit + 2))
        m.d.sync += flushing.eq(Mux(reader.flush & ~reader.idle, flushing + 1, 0))
        claim(m, "flush_ends", flushing <= limit)


@pytest.mark.parametrize("ports", [1, 2])
def test_order_for_ever(ports, tmp_path):
    assert refuted(Order(MemoryReader(config(ports))), tmp_path, 2) == set()


def test_every_beat_once(tmp_path):
    assert refuted(Count(MemoryReader(config(2, 2, 2)), 1), tmp_path, 11, bounded=True) == set()


def test_no_client_starves(tmp_path):
    assert refuted(Count(MemoryReader(config(1, 2, 2)), 1, prompt=True), tmp_path, 14, bounded=True) == set()


ORDER_MUTATIONS = {
    "prefers one client": ("fetched.eq(fetches)", "fetched.eq(0)"),
    "asks twice": ("owners.w_data.eq(Mux(fetches, FETCH, LOAD))", "owners.w_data.eq(FETCH)"),
    "reports errors of a flush": (".any() & ~self.flush)", ".any())"),
    "mixes up clients": ("(owners.r_data == client) & ~self.flush", "(owners.r_data != client) & ~self.flush"),
}
COUNT_MUTATIONS = {
    "loses a beat": ("*(port.beats.ready.eq(self.beat)", "*(port.beats.ready.eq(arrived)"),
    "takes one port's beat for all": (
        "for port in ports).all()),\n            self.beat",
        "for port in ports).any()),\n            self.beat",
    ),
}


@pytest.mark.parametrize("name", ORDER_MUTATIONS)
def test_a_mutated_order_is_refuted(name, tmp_path):
    mutant = mutated(MemoryReader, ORDER_MUTATIONS[name])
    assert refuted(Order(mutant(config(1))), tmp_path, 6, bounded=True)


@pytest.mark.parametrize("name", COUNT_MUTATIONS)
def test_a_mutated_count_is_refuted(name, tmp_path):
    mutant = mutated(MemoryReader, COUNT_MUTATIONS[name])
    assert refuted(Count(mutant(config(2, 2, 2)), 1), tmp_path, 9, bounded=True)
