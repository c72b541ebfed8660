"""The weights' memory."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.layouts import weight_word


class WeightScratchpad(wiring.Component):
    """`config.weight_depth` weight words, one write and one read per cycle.

    `read_data` answers `read_address` one cycle later. A read in the cycle of a write to the same
    address sees the old word; dependency tokens keep such pairs apart. Addresses are checked by
    those who send them.

    Ports: write In {enable, address, data}; read_address In; read_data Out(weight_word).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "write": In(data.StructLayout({
                "enable": 1,
                "address": config.weight_address_bits,
                "data": weight_word(config),
            })),
            "read_address": In(config.weight_address_bits),
            "read_data": Out(weight_word(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=weight_word(self.config), depth=self.config.weight_depth, init=[])
        write_port, read_port = memory.write_port(), memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.write.enable),
            write_port.addr.eq(self.write.address),
            write_port.data.eq(self.write.data),
            read_port.addr.eq(self.read_address),
            self.read_data.eq(read_port.data),
        ]
        return m
