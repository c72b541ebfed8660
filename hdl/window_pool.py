"""Max pooling fused behind a convolution."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, activation_word


class WindowPool(wiring.Component):
    """Channel-wise running maximum of requantized words, for each drain cycle of a group.

        pooled = words                          where first
                 max(words, kept[slot])         elsewhere
        kept[slot] = pooled, at the end of a cycle with `valid`

    `slot` is the drain cycle, 0 to D - 1. `pooled` follows the inputs within the cycle. Which
    word of a window is its last, and so goes to the scratchpad, is the parent's to know.
    """

    latency = 0

    def __init__(self, config):
        self.config = config
        words = Vector(activation_word(config), config.requantizers)
        super().__init__({
            "words": In(words),
            "valid": In(1),
            "slot": In(range(max(2, config.drain_cycles))),
            "first": In(1),
            "pooled": Out(words),
        })

    def elaborate(self, platform):
        m = Module()
        return m
