"""Words of several beats to beats of memory."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class WordSerializer(wiring.Component):
    """Cuts each word into `count` beats, the lowest first.

        beats[n * count + k] = (words[n] >> (k * beat_bits)) mod 2**beat_bits

    One beat per cycle also from a word to the next; a word's first beat appears in the cycle after
    the word. Parameters: beat_bits, width of a beat; count, beats per word, at least 1.
    Ports: words In(stream of unsigned(count * beat_bits)); beats Out(stream of unsigned(beat_bits));
    busy Out(1), a beat waits.
    """

    latency = 1

    def __init__(self, beat_bits, count):
        self.beat_bits = beat_bits
        self.count = count
        super().__init__({
            "words": In(stream.Signature(unsigned(count * beat_bits))),
            "beats": Out(stream.Signature(unsigned(beat_bits))),
            "busy": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        word = Signal(self.count * self.beat_bits)
        left = Signal(range(self.count + 1))
        m.d.comb += [
            self.busy.eq(left != 0),
            self.beats.payload.eq(word[: self.beat_bits]),
            self.beats.valid.eq(left != 0),
            self.words.ready.eq((left == 0) | ((left == 1) & self.beats.ready)),
        ]
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += [word.eq(word >> self.beat_bits), left.eq(left - 1)]
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += [word.eq(self.words.payload), left.eq(self.count)]
        return m
