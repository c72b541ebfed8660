"""A long transfer becomes bursts that AXI4 allows."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import BOUNDARY_BYTES, burst_layout, request_layout


class BurstSplitter(wiring.Component):
    """Split requests into bursts of at most `config.burst_beats` that stay inside a 4 KB page.

        while beats > 0:
            n = min(beats, burst_beats, (4096 - address mod 4096) / port_bytes)
            emit burst (address, n - 1)
            address, beats = address + n * port_bytes, beats - n

    The address is a multiple of the port's width; lower bits are taken as zeros. A request of
    no beats gives no burst. Addresses wrap at 32 bits. One burst per cycle; a request costs one
    cycle more.

    requests : stream of {address, beats}
    bursts : stream of {address, length}, `length` being beats - 1
    """

    latency = 1  # cycles from a request to its first burst

    def __init__(self, config):
        self.config = config
        super().__init__({
            "requests": In(stream.Signature(request_layout(config))),
            "bursts": Out(stream.Signature(burst_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()
        alignment_bits = exact_log2(self.config.port_bytes)
        page_beats = BOUNDARY_BYTES // self.config.port_bytes
        request = self.requests.payload
        address = Signal(len(request.address) - alignment_bits)  # in beats
        remaining = Signal(request.beats.shape())
        to_boundary = Signal(range(page_beats + 1))
        limit = Signal(range(self.config.burst_beats + 1))
        final = Signal()
        beats = Signal.like(limit)
        m.d.comb += [
            to_boundary.eq(page_beats - address[: exact_log2(page_beats)]),
            limit.eq(Mux(to_boundary < self.config.burst_beats, to_boundary, self.config.burst_beats)),
            final.eq(remaining <= limit),
            beats.eq(Mux(final, remaining, limit)),
            self.bursts.payload.address.eq(address << alignment_bits),
            self.bursts.payload.length.eq(beats - 1),
            self.bursts.valid.eq(remaining != 0),
            self.requests.ready.eq(remaining == 0),
        ]
        with m.If(self.requests.valid & self.requests.ready):
            m.d.sync += [address.eq(request.address[alignment_bits:]), remaining.eq(request.beats)]
        with m.Elif(self.bursts.valid & self.bursts.ready):
            m.d.sync += [address.eq(address + beats), remaining.eq(remaining - beats)]
        return m
