"""Weight addresses."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class WeightCounter(wiring.Component):
    """Address of the weight word of each step.

    Consecutive words for the steps of a group; every group of an output block begins at the same
    word, and the next block's words follow. `last` marks a group's last step, `last_of_block` the
    last of a block, which is the last of its group too.

    `start` takes over `first`; each `valid` uses `address` and goes to the next one. `error`
    pulses, a cycle later, when a step uses an address that is not below the scratchpad's depth.

    Ports: start, valid, last, last_of_block In(1); first In, address Out(weight_address_bits);
    error Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "first": In(config.weight_address_bits),
            "valid": In(1),
            "last": In(1),
            "last_of_block": In(1),
            "address": Out(config.weight_address_bits),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        block = Signal.like(self.address)
        following = Signal.like(self.address)
        m.d.comb += following.eq(Mux(self.start, self.first, self.address + 1))
        m.d.sync += self.error.eq(self.valid & (self.address >= self.config.weight_depth))
        with m.If(self.start | (self.valid & self.last_of_block)):
            m.d.sync += [self.address.eq(following), block.eq(following)]
        with m.Elif(self.valid):
            m.d.sync += self.address.eq(Mux(self.last, block, following))
        return m
