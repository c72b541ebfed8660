"""Whether an instruction is what its program's seal says."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from quantflow.isa import CHECK_BITS
from quantflow.seal import CHECK_START, remainder


class SealCheck(wiring.Component):
    """The remainder of an instruction's beats, one beat per cycle.

        remainder = CRC-16 of beat, from (CHECK_START where `first`, else remainder), where `take`
        intact = remainder is 0

    Which bits of the beat and of the old remainder make each bit of the new one is found by asking
    `quantflow.seal`, the check being linear; each is one parity.

    Ports: beat In(beat_bits); take, first In(1); intact Out(1), from the cycle after an instruction's
    last beat to its successor's first.
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({"beat": In(config.beat_bits), "take": In(1), "first": In(1), "intact": Out(1)})

    def elaborate(self, platform):
        m = Module()
        kept, old = Signal(CHECK_BITS), Signal(CHECK_BITS)
        m.d.comb += [old.eq(Mux(self.first, CHECK_START, kept)), self.intact.eq(kept == 0)]
        operands = Cat(self.beat, old)
        with m.If(self.take):
            m.d.sync += kept.eq(Cat((operands & Const(mask, len(operands))).xor() for mask in self._masks()))
        return m

    def _masks(self):
        """For each bit of the new remainder the bits of beat and old remainder that it is the parity of."""
        size, beat_bits = self.config.beat_bytes, self.config.beat_bits
        from_beat = [remainder((1 << n).to_bytes(size, "little"), 0) for n in range(beat_bits)]
        from_old = [remainder(bytes(size), 1 << n) for n in range(CHECK_BITS)]
        parts = [*from_beat, *from_old]
        return [sum((part >> bit & 1) << n for n, part in enumerate(parts)) for bit in range(CHECK_BITS)]
