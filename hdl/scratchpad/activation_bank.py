"""One bank of the feature maps' memory."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.layouts import activation_word
from hdl.scratchpad.collisions import UNCHECKED


class ActivationBank(wiring.Component):
    """`config.activation_depth` activation words behind two ports.

        port A:  read_data = word at read_address of the last cycle with read_enable
        port B:  write_data to address where write_enable, else spare_data = word at `address` of the
                 last cycle

    Both of B's accesses have one address, so that a block RAM of two ports is enough. What B reads in the cycle of a
    write, and what A reads in that of a write to the same address, is not defined: see UNCHECKED.
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        address_bits, word = config.activation_address_bits, activation_word(config)
        super().__init__({
            "read_enable": In(1),
            "read_address": In(address_bits),
            "read_data": Out(word),
            "write_enable": In(1),
            "address": In(address_bits),
            "write_data": In(word),
            "spare_data": Out(word),
        })

    def elaborate(self, platform):
        m = Module()
        word = activation_word(self.config).size
        m.submodules.memory = memory = Memory(shape=word, depth=self.config.activation_depth, init=[], attrs=UNCHECKED)
        read_port, write_port, spare_port = memory.read_port(), memory.write_port(), memory.read_port()
        m.d.comb += [
            read_port.en.eq(self.read_enable),
            read_port.addr.eq(self.read_address),
            self.read_data.eq(read_port.data),
            write_port.en.eq(self.write_enable),
            write_port.addr.eq(self.address),
            write_port.data.eq(self.write_data),
            spare_port.en.eq(1),
            spare_port.addr.eq(self.address),
            self.spare_data.eq(spare_port.data),
        ]
        return m
