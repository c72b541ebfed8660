"""From the banks' words to the pixels' words."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.delay import delayed
from hdl.layouts import Vector, activation_word


class BankRotator(wiring.Component):
    """Gives pixel p the word of bank (p + offset) mod P, or zero where it is not inside.

        activations[p] = inside[p] ? words[(p + offset) mod P] : 0

    by one rotation per bit of `offset`, which works for any P. `words` come one cycle later than
    `offset` and `inside`, because they are the scratchpad's answer; `activations` and
    `activations_inside` follow `offset` by `latency` cycles.

    Ports: offset In(bank_bits); inside In(P); words In, P activation words; activations Out, P
    activation words; activations_inside Out(P).
    """

    latency = 3  # the scratchpad's cycle, a register for its slow output, the rotation

    def __init__(self, config):
        self.config = config
        words = Vector(activation_word(config), config.pixels)
        super().__init__({
            "offset": In(config.bank_bits),
            "inside": In(config.pixels),
            "words": In(words),
            "activations": Out(words),
            "activations_inside": Out(config.pixels),
        })

    def elaborate(self, platform):
        m = Module()
        pixels = self.config.pixels
        offset = delayed(m, self.offset, self.latency - 1, name="offset_delayed")
        inside = delayed(m, self.inside, self.latency - 1, name="inside_delayed")
        words = Signal(self.words.shape())
        m.d.sync += [words.eq(self.words), self.activations_inside.eq(inside)]
        rotated = [word.as_value() for word in words]
        for bit in range(len(offset)):
            rotated = [Mux(offset[bit], rotated[(p + (1 << bit)) % pixels], rotated[p]) for p in range(pixels)]
        for pixel, word in enumerate(rotated):
            m.d.sync += self.activations[pixel].eq(Mux(inside[pixel], word, 0))
        return m
