"""The requantizer equals the definition for every sum, bias, shift and bound, at the widths that machines have."""

import pytest
from amaranth import Cat, Const, Mux, Signal, signed

from hdl.datapath.requantizer import Requantizer
from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.config import Config
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.spec import Spec, assume, claim, delayed, mutated

pytestmark = [pytest.mark.slow, needs_prover]

CONFIGS = {
    f"{bits} of {accumulator_bits} bits": Config(
        pixels=1,
        lanes=2,
        activation_bits=bits,
        weight_bits=bits,
        accumulator_bits=accumulator_bits,
        port_bits=32,
    )
    for bits, accumulator_bits in ((3, 8), (4, 10), (8, 32))
}


def round_half_even_shift(total, shift):
    """As in `quantflow.arithmetic`, by the remainder: the nearest integer to total / 2**shift, ties to even."""
    quotient = total >> shift
    remainder = total - (quotient << shift)
    twice, one = remainder << 1, Const(1) << shift
    return quotient + Mux((twice > one) | ((twice == one) & quotient[0]), 1, 0)


def clip(value, least, greatest):
    return Mux(value < least, least, Mux(value > greatest, greatest, value))


class Requantization(Spec):
    """One channel's result beside what isa.Compute says of it; channels have the same gates each."""

    channel = 1

    def describe(self, m):
        unit, config = self.component, self.component.config
        # Parameters come a cycle behind their words.
        settings = (unit.words[0][self.channel], unit.least, unit.dropped_bits, unit.bypass, unit.valid)
        word, least, dropped, bypass, valid = (self._earlier(m, setting) for setting in settings)
        parameter = unit.parameters[self.channel]
        assume(m, least <= parameter.greatest)
        assume(m, dropped <= config.accumulator_bits)
        total = Signal(signed(config.accumulator_bits + 1))
        m.d.comb += total.eq((word + parameter.bias) & ~((Const(1) << dropped) - 1))
        scaled = Cat(Const(0, MAX_LEFT_SHIFT), total).as_signed()
        rounded = round_half_even_shift(scaled, parameter.shift)
        most = (1 << config.activation_bits) - 1
        result = Mux(bypass, clip(word, least, most), clip(rounded, least, parameter.greatest))
        expected = Signal(config.activation_bits)
        m.d.comb += expected.eq(result)
        for _ in range(unit.latency - 1):
            expected, valid = delayed(m, expected), delayed(m, valid)
        claim(m, "valid_after_latency", unit.results_valid == valid)
        claim(m, "result", ~valid | (unit.results[0][self.channel].as_unsigned() == expected))

    def _earlier(self, m, value):
        before = Signal(value.shape(), name="before")
        m.d.sync += before.eq(value)
        return before


@pytest.mark.parametrize("name", CONFIGS)
def test_requantizer(name, tmp_path):
    """By induction over as many cycles as a result depends on: nothing else is in the registers then."""
    assert refuted(Requantization(Requantizer(CONFIGS[name])), tmp_path, Requantizer.latency + 1) == set()


MUTATIONS = {
    "drops a bit too few": ("Mux(self.bypass, 0, self.dropped_bits)", "Mux(self.bypass, 0, self.dropped_bits >> 1)"),
    "rounds ties up": ("map(round_half_even, shifted, rests)", "map(round_half_even, shifted, [1] * channels)"),
    "clips to the wrong end": ("clip(value, least, greatest[n % lanes])", "clip(value, least, greatest[0])"),
    "keeps an old bound": ("fine_shifts, greatest[-1]", "fine_shifts, greatest[-2]"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_requantizer_is_refuted(name, tmp_path):
    mutant = mutated(Requantizer, MUTATIONS[name])
    config = CONFIGS["3 of 8 bits"]
    assert refuted(Requantization(mutant(config)), tmp_path, Requantizer.latency + 3, bounded=True)
