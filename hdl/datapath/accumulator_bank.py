"""The accumulators that stay in place while a group's steps run."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, accumulator_word


class AccumulatorBank(wiring.Component):
    """P * O running sums.

        accumulators[p][o] = terms[p * O + o] + 0                                    after a step with `first`
                                                accumulators[p][o] << pass_shift     after another with `shift`
                                                accumulators[p][o]                   after any other

    A step is a cycle with `valid`. In the cycle behind a step with `last`, `done` is set and the
    accumulators hold the group's sums, modulo 2**accumulator_bits.
    """

    latency = 1

    def __init__(self, config, *, term_bits):
        self.config = config
        words = Vector(accumulator_word(config), config.pixels)
        super().__init__({
            "terms": In(Vector(signed(term_bits), config.pixels * config.lanes)),
            "valid": In(1),
            "first": In(1),
            "shift": In(1),
            "last": In(1),
            "accumulators": Out(words),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bits = self.config.accumulator_bits
        accumulators = Signal(Vector(signed(bits), self.terms.shape().length), reset_less=True)
        m.d.sync += self.done.eq(self.valid & self.last)
        with m.If(self.valid):
            kept = (Mux(self.shift, old << self.config.pass_shift, old)[:bits] for old in accumulators)
            sums = (Mux(self.first, 0, old) + term for old, term in zip(kept, self.terms, strict=True))
            m.d.sync += accumulators.eq(Cat(total[:bits] for total in sums))
        m.d.comb += self.accumulators.eq(accumulators.as_value())
        return m
