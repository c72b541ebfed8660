"""A memory that spoils what the machine's scratchpads do not define."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib.memory import Memory


class SpoilingMemory(Memory):
    """A Memory whose reads in the cycle of a write to the same address give the complement of the old word."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self.shape, depth=self.depth, init=[])
        for port in self.write_ports:
            inner = words.write_port()
            m.d.comb += [inner.en.eq(port.en), inner.addr.eq(port.addr), inner.data.eq(port.data)]
        for index, port in enumerate(self.read_ports):
            inner, spoiled = words.read_port(), Signal(name=f"spoiled_{index}")
            data = Value.cast(inner.data)
            meets = Cat(write.en & (write.addr == port.addr) for write in self.write_ports).any()
            m.d.comb += [
                inner.en.eq(port.en),
                inner.addr.eq(port.addr),
                port.data.eq(data ^ spoiled.replicate(len(data))),
            ]
            with m.If(port.en):
                m.d.sync += spoiled.eq(meets)
        return m
