"""From accumulators to activations."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, accumulator_word, activation_word, parameter_word
from quantflow.arithmetic import MAX_BITS


class Requantizer(wiring.Component):
    """Adds the bias, shifts with round half to even, applies ReLU and saturates.

        y = round_half_even_shift(words[r][o] + parameters[o].bias, parameters[o].shift)
        y = words[r][o]                                                    where bypass
        results[r][o] = saturate(relu?(y), output_bits)

    `results_valid` follows `valid` by `latency` cycles. `parameters` belong to the words of the
    cycle before, because the scratchpad that holds them answers one cycle after its address.
    `relu`, `output_bits` (1 to activation_bits) and `bypass` stay constant while words are under
    way. The sum has one bit more than the accumulator and cannot overflow. No back-pressure.
    """

    latency = 4

    def __init__(self, config):
        self.config = config
        super().__init__({
            "words": In(Vector(accumulator_word(config), config.requantizers)),
            "valid": In(1),
            "parameters": In(parameter_word(config)),
            "relu": In(1),
            "output_bits": In(range(MAX_BITS + 1)),
            "bypass": In(1),
            "results": Out(Vector(activation_word(config), config.requantizers)),
            "results_valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        return m
