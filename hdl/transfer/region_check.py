"""Loads and stores stay inside the regions that the host allows."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import request_layout
from hdl.sequencing.address_arithmetic import select
from quantflow.isa import WRITABLE, Region


class RegionCheck(wiring.Component):
    """Lets a unit's requests pass whose instructions stay inside their region.

        inside: memory_address + beats * beat_bytes <= sizes[region], and for a `store` region in WRITABLE

    Looks at an instruction in the cycle in which the unit takes it; its request appears one cycle
    later or not at all before the next is taken. After one outside of its region no request passes,
    and `error` is high, until the component is reset.

    The sum of three numbers is compared by a carry-save row and one adder.

    Ports: region In, memory_address, beats In: the instruction's fields; store, take In(1); sizes
    In, by region; requests In, passed Out(streams of request_layout); error Out(1).
    """

    latency = 0  # of requests

    def __init__(self, config):
        self.config = config
        requests = stream.Signature(request_layout(config))
        super().__init__({
            "region": In((len(Region) - 1).bit_length()),
            "memory_address": In(config.memory_address_bits),
            "beats": In(request_layout(config)["beats"].shape),
            "store": In(1),
            "take": In(1),
            "sizes": In(data.ArrayLayout(config.region_size_bits, len(Region))),
            "requests": In(requests),
            "passed": Out(requests),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bits = max(self.config.region_size_bits, len(self.beats) + exact_log2(self.config.beat_bytes)) + 2
        # A region that is only read has no bytes for a store.
        allowed = {region: (self.region == region) & ~(self.store & (region not in WRITABLE)) for region in Region}
        offset, length, size = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            offset.eq(self.memory_address),
            length.eq(self.beats << exact_log2(self.config.beat_bytes)),
            size.eq(select((self.sizes[region], condition) for region, condition in allowed.items())),
            self.passed.payload.eq(self.requests.payload),
            self.passed.valid.eq(self.requests.valid & ~self.error),
            self.requests.ready.eq(self.passed.ready & ~self.error),
        ]
        # offset + length + ~size, which is the end less the size less 1, is negative where the end is inside.
        sums, carries, excess = Signal(bits), Signal(bits), Signal(bits)
        m.d.comb += [
            sums.eq(offset ^ length ^ ~size),
            carries.eq(((offset & length) | ((offset | length) & ~size)) << 1),
            excess.eq(sums + carries),
        ]
        with m.If(self.take & ~excess[-1]):
            m.d.sync += self.error.eq(1)
        return m
