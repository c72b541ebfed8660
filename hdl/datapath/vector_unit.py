"""Per-channel reduction over taps: the maximum."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, accumulator_word, activation_word
from quantflow.arithmetic import Format


class VectorUnit(wiring.Component):
    """Channel-wise maximum of the steps of a group.

        maxima[p][i] = max over the group's steps with inside[p] of activations[p][i],
                       the least activation where there is none

    A step is a cycle with `valid`; `first` and `last` mark the first and last step of a group.
    `latency` cycles after the last step `done` is set for one cycle, in which `maxima`, as wide
    as accumulators, hold the group's results; the next group may start in the cycle behind the
    last step. No back-pressure.
    """

    latency = 2

    def __init__(self, config):
        self.config = config
        super().__init__({
            "activations": In(Vector(activation_word(config), config.pixels)),
            "inside": In(config.pixels),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "maxima": Out(Vector(accumulator_word(config), config.pixels)),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        channels = config.pixels * config.lanes
        word = activation_word(config)
        least = word.const([Format(bits=config.activation_bits, fl=0).min] * config.lanes)
        candidates = Signal(Vector(word.elem_shape, channels), reset_less=True)
        best = Signal(Vector(word.elem_shape, channels), reset_less=True)
        valid, first, last = Signal(), Signal(), Signal()
        m.d.sync += [
            valid.eq(self.valid),
            first.eq(self.first),
            last.eq(self.last),
            self.done.eq(valid & last),
            candidates.eq(
                Cat(
                    Mux(inside, activations, least)
                    for inside, activations in zip(self.inside, self.activations, strict=True)
                )
            ),
        ]
        with m.If(valid):
            m.d.sync += best.eq(
                Cat(Mux(first | (new > old), new, old) for new, old in zip(candidates, best, strict=True))
            )
        maxima = Vector(signed(config.accumulator_bits), channels)(self.maxima.as_value())
        m.d.comb += [maximum.eq(value) for maximum, value in zip(maxima, best, strict=True)]
        return m
