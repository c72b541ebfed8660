"""Max pooling fused behind a convolution."""

from amaranth import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, activation_word


class WindowPool(wiring.Component):
    """Channel-wise running maximum of requantized words, for each drain cycle of a group.

        pooled = words                          where first
                 max(words, kept[slot])         elsewhere
        kept[slot] = pooled, at the end of a cycle with `valid`

    `slot` is the drain cycle, 0 to D - 1. Words are compared as two's-complement numbers, or as
    unsigned ones where `unsigned` is set with them. `pooled` follows the inputs within the cycle.
    Which word of a window is its last, and so goes to the scratchpad, is the parent's to know.
    """

    latency = 0

    def __init__(self, config):
        self.config = config
        self.slots = max(2, config.drain_cycles)  # an address has at least one bit
        words = Vector(activation_word(config), config.requantizers)
        super().__init__({
            "words": In(words),
            "valid": In(1),
            "slot": In(range(self.slots)),
            "first": In(1),
            "unsigned": In(1),
            "pooled": Out(words),
        })

    def elaborate(self, platform):
        m = Module()
        # As a memory rather than registers: distributed RAM spares the multiplexer of D words.
        m.submodules.kept = kept = Memory(shape=self.words.shape(), depth=self.slots, init=[])
        read, write = kept.read_port(domain="comb"), kept.write_port()
        elements = Vector(self.config.activation_bits, self.config.requantizers * self.config.lanes)
        pairs = zip(elements(self.words.as_value()), elements(read.data.as_value()), strict=True)
        m.d.comb += [
            self.pooled.eq(Cat(Mux(self.first | self._greater(word, best), word, best) for word, best in pairs)),
            read.addr.eq(self.slot),
            write.addr.eq(self.slot),
            write.data.eq(self.pooled),
            write.en.eq(self.valid),
        ]
        return m

    def _greater(self, word, best):
        # With its sign turned a two's-complement number is an unsigned one in the same order.
        turned = ~self.unsigned << (self.config.activation_bits - 1)
        return (word ^ turned) > (best ^ turned)
