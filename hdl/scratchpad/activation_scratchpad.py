"""The feature maps' memory."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, activation_word, bank_address, bank_write, word_write


def write_layout(config):
    """The compute unit's write into one bank."""
    return word_write(activation_word(config), config.activation_address_bits)


class ActivationScratchpad(wiring.Component):
    """P banks of `config.activation_depth` activation words, each read and written once per cycle.

    The compute unit reads a word of every bank at once (`read_addresses` in cycles with
    `read_enable`; `read_data` one cycle later) and writes any subset of banks (`writes`, by bank);
    it is never made to wait. `store_read` is ready when the compute unit does not read; its word
    is on `store_data`, with `store_data_valid`, one cycle after the transfer. `load_write` is
    ready when the compute unit does not write the same bank.

    A read in the cycle of a write to the same address sees the old word. `error` pulses when a
    transfer of `load_write` or `store_read` has an address or bank beyond the scratchpad; nothing
    is written then. The compute unit checks its own addresses.
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "read_enable": In(1),
            "read_addresses": In(data.ArrayLayout(config.activation_address_bits, config.pixels)),
            "read_data": Out(Vector(activation_word(config), config.pixels)),
            "writes": In(Vector(write_layout(config), config.pixels)),
            "store_read": In(stream.Signature(bank_address(config))),
            "store_data": Out(activation_word(config)),
            "store_data_valid": Out(1),
            "load_write": In(stream.Signature(bank_write(config))),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        store, load = self.store_read.payload, self.load_write.payload
        store_bank = Signal.like(store.bank)
        store_taken, load_taken = Signal(), Signal()
        load_legal, store_legal = self._exists(load), self._exists(store)
        m.d.comb += [
            self.store_read.ready.eq(~self.read_enable),
            store_taken.eq(self.store_read.valid & self.store_read.ready),
            self.load_write.ready.eq(1),
            load_taken.eq(self.load_write.valid & self.load_write.ready),
            self.store_data.eq(Array(word.as_value() for word in self.read_data)[store_bank]),
        ]
        m.d.sync += [
            store_bank.eq(store.bank),
            self.store_data_valid.eq(store_taken),
            self.error.eq((store_taken & ~store_legal) | (load_taken & ~load_legal)),
        ]
        for bank in range(self.config.pixels):
            self._bank(m, bank, self.load_write.valid & load_legal & (load.bank == bank))
            with m.If((load.bank == bank) & self.writes[bank].enable):
                m.d.comb += self.load_write.ready.eq(0)
        return m

    def _exists(self, word):
        return (word.bank < self.config.pixels) & (word.address < self.config.activation_depth)

    def _bank(self, m, bank, loaded):
        shape, depth = activation_word(self.config), self.config.activation_depth
        m.submodules[f"bank_{bank}"] = memory = Memory(shape=shape, depth=depth, init=[])
        write_port, read_port = memory.write_port(), memory.read_port()
        write, load = self.writes[bank], self.load_write.payload
        m.d.comb += [
            write_port.en.eq(write.enable | loaded),
            write_port.addr.eq(Mux(write.enable, write.address, load.address)),
            write_port.data.eq(Mux(write.enable, write.data.as_value(), load.data.as_value())),
            read_port.en.eq(self.read_enable | self.store_read.valid),
            read_port.addr.eq(Mux(self.read_enable, self.read_addresses[bank], self.store_read.payload.address)),
            self.read_data[bank].eq(read_port.data),
        ]
