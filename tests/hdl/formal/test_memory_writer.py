"""The write ports: bursts and beats in order, as many beats as were announced, and an end of every flush."""

import pytest
from amaranth import Cat, Mux, Signal
from amaranth.asserts import AnyConst

from hdl.bus.axi import BOUNDARY_BYTES
from hdl.bus.memory_writer import MemoryWriter
from quantflow.config import Config
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.queues import Queue
from tests.hdl.formal.spec import Spec, assume, claim, mutated, stays_until_taken

pytestmark = [pytest.mark.slow, needs_prover]


def config(ports, outstanding_bursts=3, waiting_beats=16):
    """Few beats wait where queues are to be full within the cycles looked at."""
    bursts = {"outstanding_bursts": outstanding_bursts, "waiting_beats": waiting_beats}
    return Config(pixels=1, lanes=4, port_bits=32, ports=ports, burst_beats=16, **bursts)


class Order(Spec):
    """For ever and whatever the memory does: what goes in comes out in order, on every port."""

    def describe(self, m):
        writer = self.component
        bursts, beats = writer.bursts, writer.beats
        for index, axi in enumerate(writer.axi):
            base = writer.bases[index] & ~(BOUNDARY_BYTES - 1)
            address = Cat(axi.awaddr, axi.awlen[: len(bursts.payload.length)])
            announced = Queue(
                m,
                f"burst_{index}",
                push=bursts.valid & bursts.ready,
                word_in=Cat((base + bursts.payload.address)[: len(axi.awaddr)], bursts.payload.length),
                pop=axi.awvalid & axi.awready,
                word_out=address,
                depth=2,
            )
            spare, waiting = (self.inside(name, f"port_{index}", "addresses") for name in ("spare", "waiting"))
            announced.is_registers(m, (axi.awvalid, address), (waiting, spare[: len(address)]))
            stays_until_taken(m, f"address_{index}", axi.awvalid, axi.awready, axi.awaddr, axi.awlen)
            self._beats(m, index, axi, beats.valid & beats.ready)
        claim(m, "flush_takes_nothing", ~writer.flush | ~(bursts.ready | beats.ready | writer.error))
        claim(m, "beat", writer.beat == (beats.valid & beats.ready))

    def _beats(self, m, index, axi, taken):
        """Beats come out as they went in, but for those of a flush, which write nothing."""
        writer = self.component
        levels = [self.inside("level", f"port_{number}", "queue") for number in range(len(writer.axi))]
        room = Cat(level != writer.config.waiting_beats for level in levels).all()
        filled = writer.flush & self.inside("r_rdy", "lengths") & room
        part = writer.beats.payload.word_select(index, writer.config.port_bits)
        enabled = taken.replicate(len(axi.wstrb))
        queue = Queue(
            m,
            f"beats_{index}",
            push=taken | filled,
            word_in=Cat(part, enabled),
            pop=axi.wvalid & axi.wready,
            word_out=Cat(axi.wdata, axi.wstrb),
            depth=self.component.config.waiting_beats,
        )
        row = self.inside("consume", f"port_{index}", "queue") + queue.ahead
        word = self.peek(row, f"port_{index}", "queue", "storage")
        data, enable = word[: len(part)], word[len(part)].replicate(len(axi.wstrb))
        claim(m, f"beats_{index}_level", levels[index] == queue.count)
        place = (queue.ahead < queue.count) & (Cat(data, enable) == queue.followed)
        claim(m, f"beats_{index}_place", ~queue.following | place)
        stays_until_taken(m, f"data_{index}", axi.wvalid, axi.wready, axi.wdata, axi.wstrb, axi.wlast)


class Count(Spec):
    """Behind a memory that answers bursts once it has them: as many beats as announced, and everything ends.

    Every burst has the same number of beats, whichever that is.
    """

    def __init__(self, component, length_bits, *, prompt=False):
        super().__init__(component)
        self.length_bits, self.prompt = length_bits, prompt

    def describe(self, m):
        writer = self.component
        length = AnyConst(self.length_bits)
        assume(m, writer.bursts.payload.length == length)
        taken = writer.bursts.valid & writer.bursts.ready
        unanswered = [self._memory(m, axi, length, taken) for axi in writer.axi]
        for count in unanswered:
            claim(m, "not_too_many_bursts", count <= writer.config.outstanding_bursts)
        claim(m, "idle", writer.idle == Cat(count == 0 for count in unanswered).all())
        if self.prompt:
            self._flush(m)

    def _memory(self, m, axi, length, taken):
        """The bursts not answered yet; answers come only to bursts of which all is there."""
        unanswered, announced, complete = Signal(4), Signal(4), Signal(4)
        position = Signal.like(length)
        beat, answered = axi.wvalid & axi.wready, axi.bvalid & axi.bready
        finished = beat & axi.wlast
        m.d.sync += [
            unanswered.eq(unanswered + taken - answered),
            announced.eq(announced + taken - finished),
            complete.eq(complete + finished - answered),
        ]
        with m.If(beat):
            m.d.sync += position.eq(Mux(axi.wlast, 0, position + 1))
        assume(m, ~axi.bvalid | (complete != 0))
        claim(m, "last_of_each_burst", ~axi.wvalid | (axi.wlast == (position == length)))
        claim(m, "no_beat_unannounced", ~axi.wvalid | (announced != 0))
        claim(m, "takes_answers", ~axi.bvalid | axi.bready)
        if self.prompt:
            assume(m, axi.awready & axi.wready & (axi.bvalid == (complete != 0)))
        return unanswered

    def _flush(self, m):
        """With prompt memory, a flush ends as soon as the bursts under way could have been sent."""
        writer = self.component
        limit = writer.config.outstanding_bursts * (1 << self.length_bits) + 3
        flushing = Signal(range(limit + 2))
        m.d.sync += flushing.eq(Mux(writer.flush & ~writer.idle, flushing + 1, 0))
        claim(m, "flush_ends", flushing <= limit)


@pytest.mark.parametrize("ports", [1, 2])
def test_order_for_ever(ports, tmp_path):
    assert refuted(Order(MemoryWriter(config(ports))), tmp_path, 2) == set()


def test_every_beat_announced(tmp_path):
    assert refuted(Count(MemoryWriter(config(2, 2, 2)), 1), tmp_path, 11, bounded=True) == set()


def test_every_flush_ends(tmp_path):
    assert refuted(Count(MemoryWriter(config(1, 2, 2)), 1, prompt=True), tmp_path, 14, bounded=True) == set()


ORDER_MUTATIONS = {
    "writes while flushing": ("beat.enabled.eq(~self.flush)", "beat.enabled.eq(1)"),
    "mixes up ports": ("word_select(index,", "word_select(0,"),
    "takes bursts while flushing": ("for port in ports).all() & ~self.flush)", "for port in ports).all())"),
}
COUNT_MUTATIONS = {
    "marks the wrong beat": ("last.eq(position == lengths.r_data)", "last.eq(position == 0)"),
    "announces what it does not take": (
        "port.bursts.valid.eq(lengths.w_en)",
        "port.bursts.valid.eq(self.bursts.valid)",
    ),
    "does not fill up": ("taken.eq(room & (self.beats.valid | self.flush))", "taken.eq(room & self.beats.valid)"),
}


@pytest.mark.parametrize("name", ORDER_MUTATIONS)
def test_a_mutated_order_is_refuted(name, tmp_path):
    mutant = mutated(MemoryWriter, ORDER_MUTATIONS[name])
    assert refuted(Order(mutant(config(2))), tmp_path, 6, bounded=True)


@pytest.mark.parametrize("name", COUNT_MUTATIONS)
def test_a_mutated_count_is_refuted(name, tmp_path):
    mutant = mutated(MemoryWriter, COUNT_MUTATIONS[name])
    assert refuted(Count(mutant(config(1, 2, 2)), 1, prompt=True), tmp_path, 14, bounded=True)
