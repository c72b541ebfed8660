"""One AXI4 write port: bursts and beats out, answers counted."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.address_channel import AddressChannel
from hdl.bus.axi import ERROR_BIT, address_constants, burst_layout, write_signature
from hdl.bus.beat_queue import beat_queue


def write_beat(config):
    """A beat of one port; one that is not `enabled` writes nothing; `last` of its burst."""
    return data.StructLayout({"data": unsigned(config.port_bits), "enabled": 1, "last": 1})


class WritePort(wiring.Component):
    """Offers bursts on AW and beats on W, counts the answers on B.

        awaddr = base + burst.address

    Up to `config.outstanding_bursts` bursts are unanswered at once, up to `config.waiting_beats` beats wait.
    What was offered stays until taken; see AddressChannel. Never reset this component in mid-run: the memory would
    wait for the rest.

    Ports: bursts In(stream of burst_layout); base In, a multiple of 4 KB, constant during a
    run; beats In(stream of write_beat); axi Out(write_signature); idle Out(1): every burst taken has
    been answered; error Out(1): pulse, the memory answered with SLVERR or DECERR.
    """

    latency = 1  # cycles from a burst to AW, and from a beat to W

    def __init__(self, config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))),
            "base": In(config.memory_address_bits),
            "beats": In(stream.Signature(write_beat(config))),
            "axi": Out(write_signature(config)),
            "idle": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        axi, bursts = self.axi, self.bursts
        limit = self.config.outstanding_bursts
        m.submodules.addresses = addresses = AddressChannel(self.config)
        unanswered = Signal(range(limit + 1))
        announced, answered = Signal(), Signal()
        m.d.comb += [
            *address_constants(axi, "aw", self.config),
            addresses.base.eq(self.base),
            addresses.bursts.payload.eq(bursts.payload),
            addresses.bursts.valid.eq(announced),
            bursts.ready.eq(addresses.bursts.ready & (unanswered != limit)),
            announced.eq(bursts.valid & bursts.ready),
            axi.awvalid.eq(addresses.offers.valid),
            axi.awaddr.eq(addresses.offers.payload.address),
            axi.awlen.eq(addresses.offers.payload.length),
            addresses.offers.ready.eq(axi.awready),
            axi.bready.eq(unanswered != 0),
            answered.eq(axi.bvalid & axi.bready),
            self.error.eq(answered & axi.bresp[ERROR_BIT]),
            self.idle.eq(unanswered == 0),
        ]
        m.d.sync += unanswered.eq(unanswered + announced - answered)
        self._fill(m)
        return m

    def _fill(self, m):
        axi, shape = self.axi, self.beats.payload.shape()
        m.submodules.queue = queue = beat_queue(shape.size, self.config.waiting_beats)
        connect(m, flipped(self.beats), queue.w_stream)
        leaving = shape(queue.r_stream.payload)
        m.d.comb += [
            axi.wdata.eq(leaving.data),
            axi.wstrb.eq(leaving.enabled.replicate(len(axi.wstrb))),
            axi.wlast.eq(leaving.last),
            axi.wvalid.eq(queue.r_stream.valid),
            queue.r_stream.ready.eq(axi.wready),
        ]
