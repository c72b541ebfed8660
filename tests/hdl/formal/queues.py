"""What is claimed of anything that hands on words in the order in which it took them."""

from amaranth import Cat, Mux, Signal, Value
from amaranth.asserts import AnySeq

from tests.hdl.formal.spec import claim


class Queue:
    """No word is lost, doubled, changed or overtaken between `push` and `pop`, and there is room for `depth`.

    `push` and `pop` are the cycles in which `word_in` goes in and `word_out` comes out. The prover follows any
    one word, taken in any cycle: `ahead` counts those that are to come out before it. As this holds of every
    word, all come out in the order in which they went in, each once.

    count : words inside; following, ahead, followed : whether a word is followed, how many words are in front of
    it, and what it is. Each claim's name begins with `name`.
    """

    def __init__(self, m, name, *, push, word_in, pop, word_out, depth):
        self.name, self.depth = name, depth
        word_in, word_out = Value.cast(word_in), Value.cast(word_out)
        self.count = Signal(range(depth + 2), name=f"{name}_count")
        self.ahead = Signal(range(depth + 2), name=f"{name}_ahead")
        self.following = Signal(name=f"{name}_following")
        self.followed = Signal(len(word_in), name=f"{name}_followed")
        chosen = ~self.following & push & AnySeq(1)
        m.d.sync += self.count.eq(self.count + push - pop)
        with m.If(chosen):
            m.d.sync += [self.following.eq(1), self.followed.eq(word_in), self.ahead.eq(self.count - pop)]
        with m.Elif(self.following & pop):
            m.d.sync += [self.following.eq(self.ahead != 0), self.ahead.eq(self.ahead - 1)]
        claim(m, f"{name}_not_overfull", self.count <= depth)
        claim(m, f"{name}_gives_only_what_it_took", ~pop | (self.count != 0))
        claim(m, f"{name}_in_order", ~(self.following & pop & (self.ahead == 0)) | (word_out == self.followed))

    def is_registers(self, m, *registers):
        """Claims that lead the induction: the words inside are in `registers`, (full, word), the first out first."""
        fulls = [full for full, _ in registers]
        claim(m, f"{self.name}_level", self.count == sum(fulls))
        for first, second in zip(fulls, fulls[1:], strict=False):
            claim(m, f"{self.name}_moves_up", first | ~second)
        places = ((self.ahead == n) & full & (word == self.followed) for n, (full, word) in enumerate(registers))
        claim(m, f"{self.name}_place", ~self.following | Cat(places).any())

    def kept_in(self, m, spec, *path):
        """Claims that lead the induction: the words inside are those of the SyncFIFO at `path` of `spec`."""
        row = spec.inside("consume", *path) + self.ahead
        word = spec.peek(Mux(row >= self.depth, row - self.depth, row), *path, "storage")
        claim(m, f"{self.name}_level", spec.inside("level", *path) == self.count)
        claim(m, f"{self.name}_place", ~self.following | ((self.ahead < self.count) & (word == self.followed)))
