"""A long transfer becomes bursts that AXI4 allows."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import BOUNDARY_BYTES, burst_layout, request_layout


class BurstSplitter(wiring.Component):
    """Split requests into bursts that end at every multiple of `longest` beats, and so inside a 4 KB page.

        longest = min(burst_beats, 4096 / port_bytes)
        address = request.address / beat_bytes * port_bytes
        while beats > 0:
            n = min(beats, longest - (address / port_bytes) mod longest)
            emit burst (address, n - 1)
            address, beats = address + n * port_bytes, beats - n

    A request's address is a multiple of the beat; lower bits are taken as zeros. A request of no
    beats gives no burst. Addresses wrap at 32 bits. One burst per cycle, also from a request to
    the next.

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

    @property
    def longest(self):
        """Beats of the longest burst."""
        return min(self.config.burst_beats, BOUNDARY_BYTES // self.config.port_bytes)

    def elaborate(self, platform):
        m = Module()
        request, bursts = self.requests.payload, self.bursts
        request_bits, burst_bits = exact_log2(self.config.beat_bytes), exact_log2(self.config.port_bytes)
        inside = Signal(exact_log2(self.longest))  # position of the next beat between two multiples
        multiple = Signal(len(request.address) - request_bits - len(inside))
        remaining = Signal(request.beats.shape())  # beats after the next one
        # Of the rest, what the longest burst possible leaves; negative where the rest is shorter.
        left = Signal(len(remaining) + 1)
        final = left[-1]
        m.d.comb += [
            left.eq(remaining - (~inside).as_unsigned() - 1),
            bursts.payload.address.eq(Cat(inside, multiple) << burst_bits),
            bursts.payload.length.eq(Mux(final, remaining, ~inside)),
            self.requests.ready.eq(~bursts.valid | (bursts.ready & final)),
        ]
        with m.If(self.requests.ready):
            m.d.sync += [
                Cat(inside, multiple).eq(request.address[request_bits:]),
                remaining.eq(request.beats - 1),
                bursts.valid.eq(self.requests.valid & (request.beats != 0)),
            ]
        with m.Elif(bursts.ready):
            m.d.sync += [inside.eq(0), multiple.eq(multiple + 1), remaining.eq(left)]
        return m
