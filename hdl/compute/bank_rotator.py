"""From the banks' words to the pixels' words."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.delay import delayed
from hdl.layouts import Vector, activation_word, operand_word


class BankRotator(wiring.Component):
    """Gives pixel p the operands of bank (p + offset) mod P, or zeros where it is not inside.

        activations[p] = inside[p] ? words[(p + offset) mod P] : 0

    by one rotation per bit of `offset`, which works for any P; with one bit more than the words,
    a zero where they are `unsigned_words` and their sign elsewhere. `words` come one cycle later
    than `offset`, `inside` and `unsigned_words`, because they are the scratchpad's answer;
    `activations` and `activations_inside` follow `offset` by `latency` cycles.

    Ports: offset In(bank_bits); inside In(P); unsigned_words In(1); words In, P activation words;
    activations Out, P operand words; activations_inside Out(P).
    """

    latency = 3  # the scratchpad's cycle, a register for its slow output, the rotation

    def __init__(self, config):
        self.config = config
        super().__init__({
            "offset": In(config.bank_bits),
            "inside": In(config.pixels),
            "unsigned_words": In(1),
            "words": In(Vector(activation_word(config), config.pixels)),
            "activations": Out(Vector(operand_word(config), config.pixels)),
            "activations_inside": Out(config.pixels),
        })

    def elaborate(self, platform):
        m = Module()
        pixels, bits = self.config.pixels, self.config.activation_bits
        offset = delayed(m, self.offset, self.latency - 1, name="offset_delayed")
        inside = delayed(m, self.inside, self.latency - 1, name="inside_delayed")
        signs = ~delayed(m, self.unsigned_words, self.latency - 1, name="unsigned_delayed")
        words = Signal(self.words.shape())
        m.d.sync += [words.eq(self.words), self.activations_inside.eq(inside)]
        rotated = [word.as_value() for word in words]
        for bit in range(len(offset)):
            rotated = [Mux(offset[bit], rotated[(p + (1 << bit)) % pixels], rotated[p]) for p in range(pixels)]
        existing = Signal(Vector(bits, pixels * self.config.lanes))
        m.d.comb += existing.eq(Cat(Mux(inside[pixel], word, 0) for pixel, word in enumerate(rotated)))
        highest = Cat(element[-1] for element in existing) & signs.replicate(len(existing))
        # One assignment for all elements: much less Verilog than one for each.
        m.d.sync += self.activations.eq(Cat(Cat(*pair) for pair in zip(existing, highest, strict=True)))
        return m
