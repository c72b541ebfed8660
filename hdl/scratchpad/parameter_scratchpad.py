"""The memory of biases and shifts."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.layouts import parameter_word


class ParameterScratchpad(wiring.Component):
    """`config.parameter_depth` parameter words, one write and one read per cycle.

    `read_data` answers `read_address` one cycle later. A read in the cycle of a write to the same
    address sees the old word; dependency tokens keep such pairs apart. Addresses are checked by
    those who send them.

    Ports: write In {enable, address, data}; read_address In; read_data Out(parameter_word).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "write": In(data.StructLayout({
                "enable": 1,
                "address": config.parameter_address_bits,
                "data": parameter_word(config),
            })),
            "read_address": In(config.parameter_address_bits),
            "read_data": Out(parameter_word(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=parameter_word(self.config), depth=self.config.parameter_depth, init=[]
        )
        write_port, read_port = memory.write_port(), memory.read_port()
        m.d.comb += [
            write_port.en.eq(self.write.enable),
            write_port.addr.eq(self.write.address),
            write_port.data.eq(self.write.data),
            read_port.addr.eq(self.read_address),
            self.read_data.eq(read_port.data),
        ]
        return m
