"""The output-stationary multiply-accumulate array."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, accumulator_word, activation_word, weight_word


class MacArray(wiring.Component):
    """P * O sums over I products per step and over the steps of a group.

        accumulators[p][o] = sum over the group's steps, and over i, of
                             activations[p][i] * weights[o][i]

    A step is a cycle with `valid`; `first` and `last` mark the first and last step of a group
    (both in a group of one step). `latency` cycles after the last step `done` is set for one
    cycle, in which the accumulators hold the group's sums; the next group may start in the cycle
    behind the last step. Sums are exact modulo 2**accumulator_bits: the compiler proves that
    these suffice. No back-pressure.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "activations": In(Vector(activation_word(config), config.pixels)),
            "weights": In(weight_word(config)),
            "valid": In(1),
            "first": In(1),
            "last": In(1),
            "accumulators": Out(Vector(accumulator_word(config), config.pixels)),
            "done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        return m
