"""Beats of memory to words of several beats."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class WordAssembler(wiring.Component):
    """Joins every `count` beats to one word, the first beat lowest.

        words[n] = sum over k < count of beats[n * count + k] << (k * beat_bits)

    A beat is taken in every cycle in which the word before is not waiting; a word appears in the
    cycle after its last beat. Does not know where a transfer ends: a word begun stays begun until
    the component is reset.

    Parameters: beat_bits, width of a beat; count, beats per word, at least 1.
    Ports: beats In(stream of unsigned(beat_bits)); words Out(stream of unsigned(count * beat_bits));
    completes Out(1): the next beat taken is the last of its word.
    """

    latency = 1

    def __init__(self, beat_bits, count):
        self.beat_bits = beat_bits
        self.count = count
        super().__init__({
            "beats": In(stream.Signature(unsigned(beat_bits))),
            "words": Out(stream.Signature(unsigned(count * beat_bits))),
            "completes": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        word = Signal(self.count * self.beat_bits)
        valid = Signal()
        index = Signal(range(self.count))
        m.d.comb += [
            self.completes.eq(index == self.count - 1),
            self.beats.ready.eq(~valid | self.words.ready),
            self.words.payload.eq(word),
            self.words.valid.eq(valid),
        ]
        with m.If(self.words.ready):
            m.d.sync += valid.eq(0)
        with m.If(self.beats.valid & self.beats.ready):
            m.d.sync += [
                word.eq(Cat(word, self.beats.payload)[self.beat_bits :]),
                valid.eq(self.completes),
            ]
            if self.count > 1:
                with m.If(self.completes):
                    m.d.sync += index.eq(0)
                with m.Else():
                    m.d.sync += index.eq(index + 1)
        return m
