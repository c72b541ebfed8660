"""AXI4's bursts, walked through beat by beat by the memories here.

Bursts are INCR, of whole beats, inside 4 KB: what the machine asks for. They are answered in order.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import ADDRESS_BITS, BOUNDARY_BYTES, ID_BITS, LENGTH_BITS, write_signature
from hdl.system.storage import COLUMN_BITS

OKAY, DECERR = 0, 3  # xRESP
BURST = data.StructLayout({"address": ADDRESS_BITS, "id": ID_BITS, "length": LENGTH_BITS})
TAG = data.StructLayout({"id": ID_BITS, "last": 1, "outside": 1})  # of a beat


def beat_bits(config):
    """Bits of the number of a beat on the bus."""
    return ADDRESS_BITS - exact_log2(config.port_bytes)


def address_of(axi, bursts):
    """Statements that make the read address channel of `axi` a stream of BURST."""
    return [
        bursts.payload.address.eq(axi.araddr),
        bursts.payload.id.eq(axi.arid),
        bursts.payload.length.eq(axi.arlen),
        bursts.valid.eq(axi.arvalid),
        axi.arready.eq(bursts.ready),
    ]


def answer(axi, tag):
    """Statements for what the read channel of `axi` says of a beat beside its data."""
    return [axi.rid.eq(tag.id), axi.rlast.eq(tag.last), axi.rresp.eq(Mux(tag.outside, DECERR, OKAY))]


def _walk(m, config, burst, start, step, beat, burst_id):
    """A burst's first beat in the cycle after `start`, the next in that after `step`."""
    page = exact_log2(BOUNDARY_BYTES // config.port_bytes)
    with m.If(start):
        m.d.sync += [beat.eq(burst.address[exact_log2(config.port_bytes) :]), burst_id.eq(burst.id)]
    with m.Elif(step):
        m.d.sync += beat[:page].eq(beat[:page] + 1)  # no burst leaves its page


class ReadBursts(wiring.Component):
    """The beats of read bursts, a beat a cycle; the next burst follows without a gap.

        for n in range(length + 1):  beats <- address / port_bytes + n

    Beats from `memory_beats` on are `outside`.

    Ports: bursts In(stream of BURST); beats Out(stream of {beat, tag}).
    """

    latency = 1  # cycles from a burst to its first beat

    def __init__(self, config, memory_beats):
        self.config, self.memory_beats = config, memory_beats
        super().__init__({
            "bursts": In(stream.Signature(BURST)),
            "beats": Out(stream.Signature(data.StructLayout({"beat": beat_bits(config), "tag": TAG}))),
        })

    def elaborate(self, platform):
        m = Module()
        bursts, beats, left = self.bursts, self.beats, Signal(LENGTH_BITS)
        tag, given, start = beats.payload.tag, Signal(), Signal()
        m.d.comb += [
            tag.last.eq(left == 0),
            tag.outside.eq(beats.payload.beat >= self.memory_beats),
            given.eq(beats.valid & beats.ready),
            bursts.ready.eq(~beats.valid | (given & tag.last)),
            start.eq(bursts.valid & bursts.ready),
        ]
        _walk(m, self.config, bursts.payload, start, given, beats.payload.beat, tag.id)
        with m.If(start):
            m.d.sync += [beats.valid.eq(1), left.eq(bursts.payload.length)]
        with m.Elif(given):
            m.d.sync += [beats.valid.eq(~tag.last), left.eq(left - 1)]
        return m


class WriteBursts(wiring.Component):
    """Takes the beats of write bursts in cycles without `hold`, and answers each burst behind its last beat.

    A beat from `memory_beats` on writes nothing and is answered DECERR. Of the strobes of a column only the first is
    looked at: the machine sets all or none (see WritePort).

    Ports: axi In(write_signature); hold In(1); enables Out(1 for each column of COLUMN_BITS): those of `beat` that are
    written with axi.wdata in this cycle.
    """

    def __init__(self, config, memory_beats):
        self.config, self.memory_beats = config, memory_beats
        super().__init__({
            "axi": In(write_signature(config)),
            "hold": In(1),
            "enables": Out(config.port_bits // COLUMN_BITS),
            "beat": Out(beat_bits(config)),
        })

    def elaborate(self, platform):
        m = Module()
        axi, burst, burst_id = self.axi, Signal(BURST), Signal(ID_BITS)
        active, failed, taken, start = Signal(), Signal(), Signal(), Signal()
        outside, last = self.beat >= self.memory_beats, taken & axi.wlast
        m.d.comb += [
            burst.address.eq(axi.awaddr),
            burst.id.eq(axi.awid),
            axi.wready.eq(active & ~self.hold & (~axi.bvalid | axi.bready)),
            taken.eq(axi.wvalid & axi.wready),
            axi.awready.eq(~active | last),
            start.eq(axi.awvalid & axi.awready),
            self.enables.eq(Mux(taken & ~outside, axi.wstrb[:: COLUMN_BITS // 8], 0)),
        ]
        _walk(m, self.config, burst, start, taken, self.beat, burst_id)
        with m.If(taken):
            m.d.sync += failed.eq((failed | outside) & ~axi.wlast)
        with m.If(start):
            m.d.sync += active.eq(1)
        with m.Elif(last):
            m.d.sync += active.eq(0)
        with m.If(last):
            m.d.sync += [axi.bvalid.eq(1), axi.bid.eq(burst_id), axi.bresp.eq(Mux(failed | outside, DECERR, OKAY))]
        with m.Elif(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        return m
