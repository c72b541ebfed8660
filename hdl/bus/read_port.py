"""One AXI4 read port: bursts out, beats in."""

from amaranth import Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.address_channel import AddressChannel
from hdl.bus.axi import ERROR_BIT, address_constants, burst_layout, read_signature
from hdl.bus.beat_queue import beat_queue


def read_beat(config):
    """A beat of one port; `last` of its burst, `error` where the memory answered with SLVERR or DECERR."""
    return data.StructLayout({"data": unsigned(config.port_bits), "last": 1, "error": 1})


class ReadPort(wiring.Component):
    """Offers bursts on AR and queues up to config.waiting_beats of R's beats.

        araddr = base + burst.address

    See AddressChannel. Never reset this component in mid-run: the memory would go on answering.

    Ports: bursts In(stream of burst_layout); base In, a multiple of 4 KB, constant during a
    run; beats Out(stream of read_beat); axi Out(read_signature).
    """

    latency = 1  # cycles from a burst to AR, and from R to a beat

    def __init__(self, config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))),
            "base": In(config.memory_address_bits),
            "beats": Out(stream.Signature(read_beat(config))),
            "axi": Out(read_signature(config)),
        })

    def elaborate(self, platform):
        m = Module()
        axi = self.axi
        m.submodules.addresses = addresses = AddressChannel(self.config)
        connect(m, flipped(self.bursts), addresses.bursts)
        width = self.beats.payload.shape().size
        m.submodules.queue = queue = beat_queue(width, self.config.waiting_beats)
        connect(m, queue.r_stream, flipped(self.beats))
        arriving = self.beats.payload.shape()(queue.w_stream.payload)
        m.d.comb += [
            *address_constants(axi, "ar", self.config),
            addresses.base.eq(self.base),
            axi.arvalid.eq(addresses.offers.valid),
            axi.araddr.eq(addresses.offers.payload.address),
            axi.arlen.eq(addresses.offers.payload.length),
            addresses.offers.ready.eq(axi.arready),
            arriving.data.eq(axi.rdata),
            arriving.last.eq(axi.rlast),
            arriving.error.eq(axi.rresp[ERROR_BIT]),
            queue.w_stream.valid.eq(axi.rvalid),
            axi.rready.eq(queue.w_stream.ready),
        ]
        return m
