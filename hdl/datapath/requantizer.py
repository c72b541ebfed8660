"""From accumulators to activations."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arithmetic import clip, limits, round_half_even, shift_right
from hdl.layouts import Vector, accumulator_word, activation_word, parameter_word
from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.arithmetic import MAX_BITS


class Requantizer(wiring.Component):
    """Adds the bias, shifts with round half to even, applies ReLU and saturates.

        y = round_half_even_shift(words[r][o] + parameters[o].bias, parameters[o].shift - MAX_LEFT_SHIFT)
        y = words[r][o]                                                    where bypass
        results[r][o] = saturate(relu?(y), output_bits)

    `results_valid` follows `valid` by `latency` cycles. `parameters` belong to the words of the
    cycle before, because the scratchpad that holds them answers one cycle after its address.
    `relu`, `output_bits` (1 to activation_bits) and `bypass` stay constant while words are under
    way. The sum has one bit more than the accumulator and cannot overflow; MAX_LEFT_SHIFT zeros
    below it make every shift one to the right. No back-pressure.
    """

    latency = 5

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
        bits, lanes, out_bits = self.config.accumulator_bits, self.config.lanes, self.config.activation_bits
        channels = lanes * self.config.requantizers
        valids = Signal(self.latency)
        m.d.sync += valids.eq(Cat(self.valid, valids))
        m.d.comb += self.results_valid.eq(valids[-1])

        words = Signal(Vector(signed(bits), channels), reset_less=True)  # wait for their parameters
        parameters = Signal.like(self.parameters, name="used_parameters")
        sums = Signal(Vector(signed(bits + 1 + MAX_LEFT_SHIFT), channels), reset_less=True)
        shifts = Signal(Vector(self.config.shift_bits, lanes), reset_less=True)
        shifted = Signal(Vector(signed(out_bits + 2), channels), reset_less=True)
        rests = Signal(channels, reset_less=True)
        rounded = Signal(Vector(signed(out_bits + 2), channels), reset_less=True)
        results = Signal(Vector(signed(out_bits), channels), reset_less=True)
        shifting = [shift_right(total, shifts[n % lanes], out_bits) for n, total in enumerate(sums)]
        least, greatest = self._add_limits(m)
        zeros, unchanged = Const(0, MAX_LEFT_SHIFT), {"bias": 0, "shift": MAX_LEFT_SHIFT}
        m.d.comb += [
            parameters.eq(Mux(self.bypass, parameters.shape().const([unchanged] * lanes), self.parameters)),
            self.results.eq(results.as_value()),
        ]
        # One assignment per stage: much less Verilog than one per channel.
        m.d.sync += [
            words.eq(self.words.as_value()),
            sums.eq(Cat(Cat(zeros, word + parameters[n % lanes].bias) for n, word in enumerate(words))),
            shifts.eq(Cat(parameter.shift for parameter in parameters)),
            shifted.eq(Cat(value for value, _ in shifting)),
            rests.eq(Cat(rest for _, rest in shifting)),
            rounded.eq(Cat(map(round_half_even, shifted, rests))),
            results.eq(Cat(clip(value, least, greatest) for value in rounded)),
        ]
        return m

    def _add_limits(self, m):
        """The range of the results, whose lower end is zero with ReLU."""
        low, high = limits(self.output_bits, self.config.activation_bits)
        least, greatest = Signal(low.shape(), name="least"), Signal(high.shape(), name="greatest")
        m.d.sync += [least.eq(Mux(self.relu, 0, low)), greatest.eq(high)]
        return least, greatest
