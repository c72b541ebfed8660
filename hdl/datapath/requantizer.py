"""From accumulators to activations."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.arithmetic import FINE_BITS, clip, round_half_even, shift_coarsely, shift_finely
from hdl.layouts import Vector, accumulator_word, activation_word, parameter_word
from quantflow.accumulation import MAX_LEFT_SHIFT

DROPPED_BITS = 5  # width of `dropped_bits`, as in isa.Compute


class Requantizer(wiring.Component):
    """Adds the bias, shifts with round half to even and clips.

        total = words[r][o] + parameters[o].bias, its lowest `dropped_bits` bits cleared
        y = round_half_even_shift(total, parameters[o].shift - MAX_LEFT_SHIFT)
        results[r][o] = clip(y, least, parameters[o].greatest)
                        clip(words[r][o], least, 2**activation_bits - 1)         where bypass

    Results are the lowest activation_bits bits of numbers of one more: unsigned ones where `least`
    is 0 or more. `results_valid` follows `valid` by `latency` cycles. `least`, which is at most
    `greatest`, `dropped_bits`, at most accumulator_bits, and `bypass` belong to the words of the
    same cycle, `parameters` to those of the cycle before, because the scratchpad that holds them
    answers one cycle after its address. Without `config.overlap` `least` stays until the results are
    there. The sum has one bit more than the accumulator and cannot
    overflow; MAX_LEFT_SHIFT zeros below it make every shift one to the right. No back-pressure.
    """

    latency = 6

    def __init__(self, config):
        self.config = config
        super().__init__({
            "words": In(Vector(accumulator_word(config), config.requantizers)),
            "valid": In(1),
            "least": In(signed(config.activation_bits)),
            "dropped_bits": In(DROPPED_BITS),
            "bypass": In(1),
            "parameters": In(parameter_word(config)),
            "results": Out(Vector(activation_word(config), config.requantizers)),
            "results_valid": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        bits, lanes, out_bits = self.config.accumulator_bits, self.config.lanes, self.config.activation_bits
        channels, wide = lanes * self.config.requantizers, signed(out_bits + 3)
        valids = Signal(self.latency)
        m.d.sync += valids.eq(Cat(self.valid, valids))
        m.d.comb += self.results_valid.eq(valids[-1])

        words = Signal(Vector(signed(bits), channels), reset_less=True)  # wait for their parameters
        totals = Signal(Vector(signed(bits + 1), channels), reset_less=True)
        windows = Signal(Vector(out_bits + (1 << FINE_BITS), channels), reset_less=True)
        lost, excess, signs = (Signal(channels, name=name, reset_less=True) for name in ("lost", "excess", "signs"))
        shifted = Signal(Vector(wide, channels), reset_less=True)
        rests = Signal(channels, reset_less=True)
        rounded = Signal(Vector(wide, channels), reset_less=True)
        results = Signal(Vector(out_bits, channels), reset_less=True)
        bypass, kept, least = self._add_settings(m)
        biases, shifts, fine_shifts, greatest = self._add_parameters(m, bypass)
        zeros = Const(0, MAX_LEFT_SHIFT)
        # Results have a bit more than activations until they are clipped.
        coarse = [
            shift_coarsely(Cat(zeros, total).as_signed(), shifts[n % lanes], out_bits + 1)
            for n, total in enumerate(totals)
        ]
        shifting = [
            shift_finely(*parts, fine_shifts[n % lanes], out_bits + 1)
            for n, parts in enumerate(zip(windows, lost, excess, signs, strict=True))
        ]
        clipped = (clip(value, least, greatest[n % lanes]) for n, value in enumerate(rounded))
        m.d.comb += self.results.eq(results.as_value())
        # One assignment per stage: much less Verilog than one per channel.
        m.d.sync += [
            words.eq(self.words.as_value()),
            totals.eq(Cat((word + biases[n % lanes]) & kept for n, word in enumerate(words))),
            windows.eq(Cat(window for window, _, _ in coarse)),
            lost.eq(Cat(below for _, below, _ in coarse)),
            excess.eq(Cat(above for _, _, above in coarse)),
            signs.eq(Cat(total[-1] for total in totals)),
            shifted.eq(Cat(value for value, _ in shifting)),
            rests.eq(Cat(rest for _, rest in shifting)),
            rounded.eq(Cat(map(round_half_even, shifted, rests))),
            results.eq(Cat(value[:out_bits] for value in clipped)),
        ]
        return m

    def _add_settings(self, m):
        """What holds for all channels, in the cycle of its use: bypass, kept bits beside `words`, the rest behind."""
        bypass = Signal()
        kept = Signal(signed(self.config.accumulator_bits + 1))  # ones where bits are not dropped
        least = Signal(Vector(signed(self.config.activation_bits), 5))
        dropped = Mux(self.bypass, 0, self.dropped_bits)
        m.d.sync += [
            bypass.eq(self.bypass),
            kept.eq(Const(-1, signed(len(kept))) << dropped),
            least.eq(Cat(self.least, least)),
        ]
        return bypass, kept, least[-1] if self.config.overlap else self.least

    def _add_parameters(self, m, bypass):
        """Each lane's bias beside `words`, shift beside `totals`, its fine part beside `windows`, greatest result
        beside `rounded`."""
        lanes = self.config.lanes
        biases = Signal(Vector(signed(self.config.accumulator_bits), lanes))
        shifts = Signal(Vector(self.config.shift_bits, lanes), reset_less=True)
        fine_shifts = Signal(Vector(FINE_BITS, lanes), reset_less=True)
        greatest = Signal(Vector(Vector(self.config.activation_bits, lanes), 4), reset_less=True)
        m.d.comb += biases.eq(Cat(Mux(bypass, 0, parameter.bias) for parameter in self.parameters))
        m.d.sync += [
            shifts.eq(Cat(Mux(bypass, MAX_LEFT_SHIFT, parameter.shift) for parameter in self.parameters)),
            fine_shifts.eq(Cat(shift[:FINE_BITS] for shift in shifts)),
            greatest.eq(Cat(*(parameter.greatest for parameter in self.parameters), greatest)),
        ]
        with m.If(bypass):
            m.d.sync += greatest[0].eq(~0)
        return biases, shifts, fine_shifts, greatest[-1]
