"""The register bank between the accumulators and the requantizer."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, accumulator_word


class DrainBank(wiring.Component):
    """Takes a group's P words in one cycle and presents R of them in each of the next D cycles.

        cycle k after `load` (0 <= k < D):  words[j] = accumulators[k + j * D], zero from P on

    with D = ceil(P / R). `load` may come again in the last of the D cycles, not before: an
    earlier one replaces words that nobody has seen. No back-pressure.
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "accumulators": In(Vector(accumulator_word(config), config.pixels)),
            "load": In(1),
            "words": Out(Vector(accumulator_word(config), config.requantizers)),
            "valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # The words move one place down per cycle, so that output j always reads place j * D.
        places = Signal.like(self.accumulators, reset_less=True)
        word_bits = accumulator_word(self.config).size
        remaining = Signal(range(self.config.drain_cycles + 1))
        m.d.sync += places.eq(places.as_value()[word_bits:])  # on and on: to hold them still would take cells
        with m.If(self.load):
            m.d.sync += [places.eq(self.accumulators), remaining.eq(self.config.drain_cycles)]
        with m.Elif(self.valid):
            m.d.sync += remaining.eq(remaining - 1)
        m.d.comb += self.valid.eq(remaining.any())
        for j, place in enumerate(range(0, self.config.pixels, self.config.drain_cycles)):
            m.d.comb += self.words[j].eq(places[place])
        return m
