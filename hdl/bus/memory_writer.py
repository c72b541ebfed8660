"""The machine's AXI4 write port."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import ERROR_BIT, address_constants, burst_layout, write_signature


class MemoryWriter(wiring.Component):
    """Issue bursts on an AXI4 write port, fill them with beats in order, count the answers.

    Up to `config.outstanding_bursts` bursts are unanswered at once. A burst's address is offered
    as soon as it is known, its data follow one beat per cycle.

    While `flush` is high no burst and no beat is taken; bursts already taken are completed with
    beats that write nothing (no byte strobes), their answers are swallowed and errors not
    reported; afterwards `idle` is high. What was offered stays until taken. Never reset this
    component in mid-run: the memory would wait for the rest.

    bursts : stream of {address, length}; beats : stream of `port_bits` bits. `idle`: every burst
    taken has been answered. `error`: pulse, the memory answered with SLVERR or DECERR. It does
    not check that bursts respect the 4 KB boundary.
    """

    latency = 1  # cycles from a burst to AW, and from a beat to W

    def __init__(self, config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))),
            "beats": In(stream.Signature(unsigned(config.port_bits))),
            "axi": Out(write_signature(config)),
            "flush": In(1),
            "idle": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        unanswered = Signal(range(self.config.outstanding_bursts + 1))
        length_bits = len(self.bursts.payload.length)
        m.submodules.lengths = lengths = SyncFIFO(width=length_bits, depth=self.config.outstanding_bursts)
        self._announce(m, lengths, unanswered)
        self._fill(m, lengths)
        self._count(m, unanswered)
        return m

    def _announce(self, m, lengths, unanswered):
        """Move a burst to AW's register, its length to the queue."""
        axi, bursts = self.axi, self.bursts
        free = ~axi.awvalid | axi.awready
        m.d.comb += [
            *address_constants(axi, "aw", self.config),
            bursts.ready.eq(free & (unanswered != self.config.outstanding_bursts) & ~self.flush),
            lengths.w_en.eq(bursts.valid & bursts.ready),
            lengths.w_data.eq(bursts.payload.length),
        ]
        with m.If(free):
            m.d.sync += axi.awvalid.eq(lengths.w_en)
        with m.If(lengths.w_en):
            m.d.sync += [axi.awaddr.eq(bursts.payload.address), axi.awlen.eq(bursts.payload.length)]

    def _fill(self, m, lengths):
        """Move a beat, or while flushing an empty one, to W's register."""
        axi, beats = self.axi, self.beats
        position = Signal(lengths.width)
        room, taken, last = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(lengths.r_rdy & (~axi.wvalid | axi.wready)),
            beats.ready.eq(room & ~self.flush),
            taken.eq(room & (beats.valid | self.flush)),
            last.eq(position == lengths.r_data),
            lengths.r_en.eq(taken & last),
        ]
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(taken):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(beats.payload),
                axi.wstrb.eq(~self.flush.replicate(len(axi.wstrb))),
                axi.wlast.eq(last),
                position.eq(position + 1),
            ]
            with m.If(last):
                m.d.sync += position.eq(0)

    def _count(self, m, unanswered):
        axi = self.axi
        announced, answered = Signal(), Signal()
        m.d.comb += [
            self.idle.eq(unanswered == 0),
            axi.bready.eq(unanswered != 0),
            announced.eq(self.bursts.valid & self.bursts.ready),
            answered.eq(axi.bvalid & axi.bready),
            self.error.eq(answered & axi.bresp[ERROR_BIT] & ~self.flush),
        ]
        m.d.sync += unanswered.eq(unanswered + announced - answered)
