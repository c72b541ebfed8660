"""Which load the arriving beats belong to."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import request_layout
from hdl.transfer.weight_unpacker import WIDTH_CODE_BITS

TARGET_BITS = 2


def receipt_layout(config):
    """What the receiver has to know of a load."""
    beats = request_layout(config)["beats"].shape
    return data.StructLayout({"target": TARGET_BITS, "width": WIDTH_CODE_BITS, "beats": beats})


class LoadReceiver(wiring.Component):
    """Hands `beats` beats of each load on, beside the load's target and width.

        for load in loads: for n in range(load.beats): decoder_beats <- next of beats

    The next load's first beat follows the last one of the load before without a gap, where that
    load waits already. `last` marks a load's last beat. Loads have at least one beat.

    Ports: loads In(stream of receipt_layout); beats In, decoder_beats Out(streams of
    unsigned(beat_bits)); target, width, last Out, beside decoder_beats; busy Out(1).
    """

    latency = 0  # of beats; a load is there in the cycle after it was taken

    def __init__(self, config):
        self.config = config
        super().__init__({
            "loads": In(stream.Signature(receipt_layout(config))),
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "decoder_beats": Out(stream.Signature(unsigned(config.beat_bits))),
            "target": Out(TARGET_BITS),
            "width": Out(WIDTH_CODE_BITS),
            "last": Out(1),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        load = Signal(receipt_layout(self.config))  # `beats` counts those that are left
        taken = Signal()
        m.d.comb += [
            self.target.eq(load.target),
            self.width.eq(load.width),
            self.last.eq(load.beats == 1),
            self.decoder_beats.payload.eq(self.beats.payload),
            self.decoder_beats.valid.eq(self.beats.valid & self.busy),
            self.beats.ready.eq(self.decoder_beats.ready & self.busy),
            taken.eq(self.beats.valid & self.beats.ready),
            self.loads.ready.eq(~self.busy | (taken & self.last)),
        ]
        with m.If(self.loads.ready):
            m.d.sync += [load.eq(self.loads.payload), self.busy.eq(self.loads.valid)]
        with m.Elif(taken):
            m.d.sync += load.beats.eq(load.beats - 1)
        return m
