"""A memory on chip with one writer and one reader: weights, and parameters."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.layouts import parameter_word, weight_word, word_write
from hdl.scratchpad.collisions import UNCHECKED


class WordScratchpad(wiring.Component):
    """`depth` words of the layout `word`, one write and one read per cycle.

    `read_data` answers `read_address` one cycle later. What a read in the cycle of a write to the same address sees
    is not defined (see UNCHECKED); dependency tokens keep such pairs apart. Addresses are checked by those who send
    them.

    Ports: write In(word_write); read_address In; read_data Out(word).
    """

    latency = 1

    def __init__(self, word, *, depth, address_bits):
        self.word, self.depth = word, depth
        super().__init__({
            "write": In(word_write(word, address_bits)),
            "read_address": In(address_bits),
            "read_data": Out(word),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.word, depth=self.depth, init=[], attrs=UNCHECKED)
        write_port, read_port = memory.write_port(), memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.write.enable),
            write_port.addr.eq(self.write.address),
            write_port.data.eq(self.write.data),
            read_port.addr.eq(self.read_address),
            self.read_data.eq(read_port.data),
        ]
        return m


def weight_scratchpad(config):
    """`config.weight_depth` weight words."""
    return WordScratchpad(weight_word(config), depth=config.weight_depth, address_bits=config.weight_address_bits)


def parameter_scratchpad(config):
    """`config.parameter_depth` parameter words: biases and shifts."""
    word, bits = parameter_word(config), config.parameter_address_bits
    return WordScratchpad(word, depth=config.parameter_depth, address_bits=bits)
