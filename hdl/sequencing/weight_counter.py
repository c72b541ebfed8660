"""Weight addresses."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class WeightCounter(wiring.Component):
    """Address of the weight word of each step.

    Consecutive words for the steps of a group; every group of an output block begins at the same
    word, and the next block's words follow. Where `uniform`, consecutive words for the passes of a
    group, and every group begins at the first word. `pass_end` marks a pass's last step, `last` a
    group's, which is that of its last pass too, `last_of_block` a block's.

    `start` takes over `first`; each `valid` uses `address` and goes to the next one. `error`
    pulses, a cycle later, when a step uses an address that is not below the scratchpad's depth.

    Ports: start, uniform, valid, pass_end, last, last_of_block In(1); first In, address
    Out(weight_address_bits); error Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "first": In(config.weight_address_bits),
            "uniform": In(1),
            "valid": In(1),
            "pass_end": In(1),
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
        with m.If(self.start | (self.valid & self.last_of_block & ~self.uniform)):
            m.d.sync += [self.address.eq(following), block.eq(following)]
        with m.Elif(self.valid & (self.pass_end | ~self.uniform)):
            m.d.sync += self.address.eq(Mux(self.last, block, following))
        return m
