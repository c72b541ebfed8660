"""Weights from the width in which they lie in memory to the array's words."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import weight_word
from hdl.transfer.containers import resize_elements

WIDTH_CODE_BITS = 2


def weight_width_codes(config):
    """{code: element width in bits} of the codes that are legal under `config`."""
    codes = {code: 2 << code for code in range(1 << WIDTH_CODE_BITS)}
    return {code: width for code, width in codes.items() if width in config.weight_widths}


class WeightUnpacker(wiring.Component):
    """Unpacks beats of narrow elements to weight words.

        word[e] = sign-extended element e of the word's beats, e = o * lanes + i,
        elements `2 << width` bits wide, `lanes**2 * (2 << width) / beat_bits` beats per word

    Each beat's elements are shifted in from above, so that the first beat ends lowest. A beat is
    taken in every cycle in which the word before is not waiting; a word appears in the cycle after
    its last beat. `width` is constant from a word's first beat to its last; a code that is not in
    `weight_width_codes(config)` takes no beat.

    Ports: beats In(stream of unsigned(beat_bits)); width In(2); words Out(stream of weight_word);
    completes Out(1): the next beat taken is the last of its word.
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "width": In(WIDTH_CODE_BITS),
            "words": Out(stream.Signature(weight_word(config))),
            "completes": Out(1),
        })

    def elaborate(self, platform):
        config = self.config
        m = Module()
        word = Signal(config.lanes * config.lanes * config.weight_bits)
        valid = Signal()
        beats_per_word = {c: config.weight_word_beats(w) for c, w in weight_width_codes(config).items()}
        index = Signal(range(max(beats_per_word.values())))
        m.d.comb += [
            self.words.payload.eq(word),
            self.words.valid.eq(valid),
        ]
        with m.If(self.words.ready):
            m.d.sync += valid.eq(0)
        with m.Switch(self.width):
            for code, count in beats_per_word.items():
                with m.Case(code):
                    m.d.comb += [
                        self.beats.ready.eq(~valid | self.words.ready),
                        self.completes.eq(index == count - 1),
                    ]
                    with m.If(self.beats.valid & self.beats.ready):
                        elements = self._elements(2 << code)
                        m.d.sync += [
                            word.eq(Cat(word, elements)[len(elements) :]),
                            valid.eq(self.completes),
                            index.eq(index + 1),
                        ]
                        with m.If(self.completes):
                            m.d.sync += index.eq(0)
        return m

    def _elements(self, width):
        """One beat's elements of `width` bits, each in weight_bits bits."""
        return resize_elements(
            self.beats.payload,
            count=self.config.beat_bits // width,
            from_bits=width,
            to_bits=self.config.weight_bits,
        )
