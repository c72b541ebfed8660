"""The register bank between the accumulators and the requantizer."""

from amaranth import Module
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
        return m
