"""Sums of equally many terms, one set per cycle."""

from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector


class AdderTree(wiring.Component):
    """Pipelined balanced adder trees, side by side.

        sums[n] = sum of terms[n][t] over t, `latency` cycles later

    Each level adds neighbours in pairs into one register and is one bit wider than the one before
    it, so that no sum overflows; a term without a neighbour waits in the same register. It takes
    new terms in every cycle and knows no valid bit.
    """

    def __init__(self, *, sums, terms, term_bits):
        for name, value in (("sums", sums), ("terms", terms), ("term_bits", term_bits)):
            if value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        self.latency = (terms - 1).bit_length()
        super().__init__({
            "terms": In(Vector(Vector(signed(term_bits), terms), sums)),
            "sums": Out(Vector(signed(term_bits + self.latency), sums)),
        })

    def elaborate(self, platform):
        m = Module()
        return m
