"""Per-channel reduction over taps: the maximum."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, accumulator_word, operand_word


class VectorUnit(wiring.Component):
    """Channel-wise maximum of the steps of a group, and of a least result.

        maxima[p][i] = max(least, activations[p][i] of the group's steps with inside[p])

    A step is a cycle with `valid`; `first` and `last` mark the first and last step of a group, and
    `least` is that of the first. `latency` cycles after the last step `done` is set for one cycle,
    in which `maxima`, as wide as accumulators, hold the group's results; the next group may start
    in the cycle behind the last step. No back-pressure.
    """

    latency = 2

    def __init__(self, config):
        self.config = config
        super().__init__({
            "activations": In(Vector(operand_word(config), config.pixels)),
            "inside": In(config.pixels),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "least": In(signed(config.activation_bits)),
            "maxima": Out(Vector(accumulator_word(config), config.pixels)),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes, operand = self.config.lanes, signed(self.config.operand_bits)
        words = Vector(operand, self.config.pixels * lanes)
        candidates = Signal(words, reset_less=True)
        best = Signal(words, reset_less=True)
        inside, least = Signal.like(self.inside, name="taps_inside"), Signal(operand)
        valid, first, last = Signal(), Signal(), Signal()
        m.d.sync += [
            valid.eq(self.valid),
            first.eq(self.first),
            last.eq(self.last),
            least.eq(self.least),
            inside.eq(self.inside),
            candidates.eq(self.activations.as_value()),
            self.done.eq(valid & last),
        ]
        greater = []
        for n, (new, old) in enumerate(zip(candidates, best, strict=True)):
            reference = Mux(first, least, old)
            greater.append(Mux(inside[n // lanes] & (new > reference), new, reference))
        with m.If(valid):
            m.d.sync += best.eq(Cat(greater))
        maxima = Vector(signed(self.config.accumulator_bits), len(best))(self.maxima.as_value())
        m.d.comb += [maximum.eq(value) for maximum, value in zip(maxima, best, strict=True)]
        return m
