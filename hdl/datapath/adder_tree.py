"""Sums of equally many terms, one set per cycle."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector


class AdderTree(wiring.Component):
    """Pipelined balanced adder trees, side by side.

        sums[n] = sum of terms[n][t] over t, `latency` cycles later

    `trees` is the count of n, `leaves` the count of t, each leaf a signed number of `leaf_bits`.
    Each level adds neighbours in pairs into one register and is one bit wider than the one before
    it, so that no sum overflows; a term without a neighbour waits in the same register. It takes
    new terms in every cycle and knows no valid bit. Raises ValueError for a count below 1.
    """

    def __init__(self, *, trees, leaves, leaf_bits):
        for name, value in (("trees", trees), ("leaves", leaves), ("leaf_bits", leaf_bits)):
            if value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        self.trees, self.leaves, self.leaf_bits = trees, leaves, leaf_bits
        super().__init__({
            "terms": In(Vector(Vector(signed(leaf_bits), leaves), trees)),
            "sums": Out(Vector(signed(leaf_bits + self.latency), trees)),
        })

    @staticmethod
    def levels(leaves):
        """Levels of a tree with `leaves` leaves, and so its latency in cycles."""
        return (leaves - 1).bit_length()

    @property
    def latency(self):
        return self.levels(self.leaves)

    def elaborate(self, platform):
        m = Module()
        nodes, count = self.terms, self.leaves
        for level in range(1, self.latency + 1):
            below, pairs, count = nodes, count // 2, -(-count // 2)
            shape = Vector(Vector(signed(self.leaf_bits + level), count), self.trees)
            # One signal and one assignment per level: much less Verilog than one per sum.
            nodes = Signal(shape, name=f"level_{level}", reset_less=True)
            sums = []
            for tree in range(self.trees):
                sums += [below[tree][2 * n] + below[tree][2 * n + 1] for n in range(pairs)]
                if count > pairs:
                    waiting = below[tree][2 * pairs]
                    sums.append(Cat(waiting, waiting[-1]))
            m.d.sync += nodes.eq(Cat(sums))
        m.d.comb += self.sums.eq(nodes.as_value())
        return m
