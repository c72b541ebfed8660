"""Bursts on their way to AXI4's AR or AW channel."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import LENGTH_BITS, burst_layout, bus_address


class AddressChannel(wiring.Component):
    """Offers bursts one after the other, one per cycle where the memory takes them.

        address = base + burst.address;  length = burst.length

    An address once offered stays until taken. Where several bursts may be under way, one more may wait behind it, so
    that `bursts.ready` comes from a register, whatever the memory does.

    Ports: bursts In(stream of burst_layout); base In, a multiple of 4 KB; offers Out(stream of
    {address, length}).
    """

    latency = 1  # cycles from a burst to its address

    def __init__(self, config):
        self.config = config
        offer = data.StructLayout({"address": config.memory_address_bits, "length": LENGTH_BITS})
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))),
            "base": In(config.memory_address_bits),
            "offers": Out(stream.Signature(offer)),
        })

    def elaborate(self, platform):
        m = Module()
        bursts, offers = self.bursts, self.offers
        given = Signal(offers.payload.shape())
        m.d.comb += [
            given.address.eq(bus_address(self.base, bursts.payload.address)),
            given.length.eq(bursts.payload.length),
        ]
        if self.config.outstanding_bursts == 1:
            self._offer(m, given)
        else:
            self._offer_with_spare(m, given)
        return m

    def _offer(self, m, given):
        bursts, offers = self.bursts, self.offers
        m.d.comb += bursts.ready.eq(~offers.valid)
        with m.If(~offers.valid):
            m.d.sync += [offers.valid.eq(bursts.valid), offers.payload.eq(given)]
        with m.Elif(offers.ready):
            m.d.sync += offers.valid.eq(0)

    def _offer_with_spare(self, m, given):
        bursts, offers = self.bursts, self.offers
        spare, waiting = Signal.like(given, name="spare"), Signal()
        m.d.comb += bursts.ready.eq(~waiting)
        with m.If(~offers.valid | offers.ready):
            m.d.sync += [
                offers.valid.eq(bursts.valid | waiting),
                offers.payload.eq(Mux(waiting, spare, given)),
                waiting.eq(0),
            ]
        with m.Elif(bursts.valid & ~waiting):
            m.d.sync += [spare.eq(given), waiting.eq(1)]
