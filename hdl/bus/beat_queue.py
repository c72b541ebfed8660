"""Beats that wait at a memory port."""

from amaranth import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out


def beat_queue(width, depth):
    """A queue with streams as of a SyncFIFO; one of a single word makes room in the cycle in which that goes."""
    return SyncFIFO(width=width, depth=depth) if depth > 1 else WordRegister(width)


class WordRegister(wiring.Component):
    """Keeps a word until it is taken; a word may pass in every cycle.

    Ports: w_stream In, r_stream Out(streams of unsigned(width)), names as of a SyncFIFO.
    """

    latency = 1

    def __init__(self, width):
        word = stream.Signature(unsigned(width))
        super().__init__({"w_stream": In(word), "r_stream": Out(word)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.w_stream.ready.eq(~self.r_stream.valid | self.r_stream.ready)
        with m.If(self.w_stream.ready):
            m.d.sync += [
                self.r_stream.valid.eq(self.w_stream.valid),
                self.r_stream.payload.eq(self.w_stream.payload),
            ]
        return m
