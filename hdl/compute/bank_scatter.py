"""From words to banks."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, activation_word
from hdl.scratchpad.activation_scratchpad import write_layout
from hdl.sequencing.address_arithmetic import select
from hdl.sequencing.write_address import target_layout


class BankScatter(wiring.Component):
    """Sends each of R words to the bank that its target names.

        writes[targets[j].bank] = {targets[j].address, words[j]}     where targets[j].enable

    one cycle later. Two words for the same bank are a fault of the program: `error` pulses with
    the write, whose contents are then meaningless.

    Ports: targets In, R of target_layout; words In, R activation words; writes Out, P of
    write_layout; error Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "targets": In(data.ArrayLayout(target_layout(config), config.requantizers)),
            "words": In(Vector(activation_word(config), config.requantizers)),
            "writes": Out(Vector(write_layout(config), config.pixels)),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        words = range(self.config.requantizers)
        collisions = []
        for bank in range(self.config.pixels):
            chosen = Signal(len(words), name=f"chosen_{bank}")
            m.d.comb += chosen.eq(Cat(self.targets[j].enable & (self.targets[j].bank == bank) for j in words))
            collisions += [chosen[j] & chosen[:j].any() for j in words[1:]]
            write = self.writes[bank]
            m.d.sync += [
                write.enable.eq(chosen.any()),
                write.address.eq(select([(self.targets[j].address, chosen[j]) for j in words])),
                Value.cast(write.data).eq(select([(self.words[j], chosen[j]) for j in words])),
            ]
        m.d.sync += self.error.eq(Cat(collisions).any())
        return m
