"""The feature maps' memory."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, activation_word, bank_row, row_write, word_write
from hdl.scratchpad.activation_bank import ActivationBank


def write_layout(config):
    """The compute unit's write into one bank."""
    return word_write(activation_word(config), config.activation_address_bits)


class ActivationScratchpad(wiring.Component):
    """P banks of `config.activation_depth` activation words, each read and written once per cycle.

    The compute unit reads a word of every bank at once (`read_addresses` in cycles with
    `read_enable`; `read_data` one cycle later) and writes any subset of banks (`writes`, by bank);
    it is never made to wait. Loads and stores move rows, the words of one address in all banks, and
    use each bank's second port in cycles in which the compute unit does not write there, loads
    first; some banks may be earlier than others, a row is finished when all are. `load_write` is
    ready in the cycle in which its row's last words are written; the row that a transfer of
    `store_read` asks for is on `rows` from the next cycle on. One row per cycle each way where
    nobody is in the way.

    What a read in the cycle of a write to the same address sees is not defined. `error` pulses when a
    transfer of `load_write` or `store_read` has an address beyond the scratchpad; nothing is
    written then, and the row is meaningless. The compute unit checks its own addresses.

    Ports: read_enable In(1), read_addresses In, read_data Out, writes In(Vector of write_layout);
    load_write In(stream of row_write); store_read In(stream of addresses); rows Out(stream of
    bank_row); error Out(1).
    """

    latency = ActivationBank.latency

    def __init__(self, config):
        self.config = config
        super().__init__({
            "read_enable": In(1),
            "read_addresses": In(data.ArrayLayout(config.activation_address_bits, config.pixels)),
            "read_data": Out(bank_row(config)),
            "writes": In(Vector(write_layout(config), config.pixels)),
            "load_write": In(stream.Signature(row_write(config))),
            "store_read": In(stream.Signature(unsigned(config.word_address_bits))),
            "rows": Out(stream.Signature(bank_row(config))),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        load, store = self.load_write, self.store_read
        depth, all_banks = self.config.activation_depth, Signal(self.config.pixels)
        loading, storing, load_legal, store_legal = Signal(), Signal(), Signal(), Signal()
        # By bank: whether the compute unit writes; whether the present row's word is moved now.
        occupied, loaded, asked = Signal.like(all_banks), Signal.like(all_banks), Signal.like(all_banks)
        m.d.comb += [
            occupied.eq(Cat(write.enable for write in self.writes)),
            load_legal.eq(load.payload.address < depth),
            store_legal.eq(store.payload < depth),
            loading.eq(load.valid & load_legal),
            storing.eq(store.valid & (~self.rows.valid | self.rows.ready)),
        ]
        load_finished = self._progress(m, loading, occupied, loaded, "load")
        store_finished = self._progress(m, storing, occupied | loaded, asked, "store")
        m.d.comb += [load.ready.eq(~load_legal | load_finished), store.ready.eq(store_finished)]
        m.d.sync += self.error.eq((load.valid & ~load_legal) | (store_finished & ~store_legal))
        with m.If(~self.rows.valid | self.rows.ready):
            m.d.sync += self.rows.valid.eq(store_finished)
        self._banks(m, loaded, asked)
        return m

    def _progress(self, m, active, refused, moved, name):
        """The banks in which a row's word is `moved` in this cycle; returns whether the row is finished."""
        done, finished = Signal.like(moved, name=f"{name}_done"), Signal(name=f"{name}_finished")
        m.d.comb += [
            moved.eq(active.replicate(len(moved)) & ~refused & ~done),
            finished.eq(active & (done | moved).all()),
        ]
        m.d.sync += done.eq(Mux(finished, 0, done | moved))
        return finished

    def _banks(self, m, loaded, asked):
        """Port A to the compute unit, port B to whoever has it; words read there are kept until the row leaves."""
        arriving = Signal.like(asked)
        kept = Signal(bank_row(self.config))
        m.d.sync += arriving.eq(asked)
        for index in range(self.config.pixels):
            m.submodules[f"bank_{index}"] = bank = ActivationBank(self.config)
            write, load = self.writes[index], self.load_write.payload
            moved = Mux(loaded[index], load.address, self.store_read.payload)
            m.d.comb += [
                bank.read_enable.eq(self.read_enable),
                bank.read_address.eq(self.read_addresses[index]),
                self.read_data[index].eq(bank.read_data),
                bank.write_enable.eq(write.enable | loaded[index]),
                bank.address.eq(Mux(write.enable, write.address, moved)),
                bank.write_data.eq(Mux(write.enable, write.data.as_value(), load.data[index].as_value())),
                self.rows.payload[index].eq(Mux(arriving[index], bank.spare_data.as_value(), kept[index].as_value())),
            ]
        m.d.sync += kept.eq(self.rows.payload)
