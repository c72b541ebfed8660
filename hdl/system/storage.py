"""RAM of any number of words, from banks whose numbers of words are powers of two."""

from pathlib import Path

from amaranth import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

COLUMN_BITS = 32  # each with its own write enable: what a host writes at once
LEAST_WORDS = 512  # of a bank: one block RAM of 16 Kbit for each column
SOURCES = tuple(Path(__file__).with_name(name) for name in ("storage_bank.v", "storage_single.v"))


def bank_sizes(words):
    """Words of each bank, falling powers of two, that together are `words` rounded up to a multiple of LEAST_WORDS.

    A bank that is as deep as a power of two takes exactly the block RAMs that its bits need, few bits wide and all
    of its depth deep, so that the only multiplexer is that of the banks.
    """
    units = -(-words // LEAST_WORDS)
    return [LEAST_WORDS << bit for bit in reversed(range(units.bit_length())) if units >> bit & 1]


def write_port(address_bits, width):
    """`enables` has a bit for each column."""
    return data.StructLayout({"enables": width // COLUMN_BITS, "address": address_bits, "data": width})


class Storage(wiring.Component):
    """RAM with one read port and one write port.

        read_data = words[read_address], `latency` cycles later;  words[write.address] = write.data, column by column

    A read in the cycle of a write to the same word gives either of the two, a later read the new one. Addresses beyond
    `words` must not be used. Large banks lie all over an FPGA: there are registers on the way to them and on the way
    back.

    `files` name the contents at power-up of each bank of `bank_sizes`, for $readmemh; there are none where it is empty.

    Ports: read_address In; read_data Out(width); write In(write_port).
    """

    latency = 3  # cycles from an address to its data: to the banks, in them, and back

    def __init__(self, words, width, *, files=()):
        self.width = width
        self.sizes = bank_sizes(words)
        if files and len(files) != len(self.sizes):
            raise ValueError(f"contents are one file for each of {len(self.sizes)} block RAM banks, not {len(files)}")
        self.files = files
        self.address_bits = ceil_log2(sum(self.sizes))
        super().__init__({
            "read_address": In(self.address_bits),
            "read_data": Out(width),
            "write": In(write_port(self.address_bits, width)),
        })

    def elaborate(self, platform):
        m = Module()
        address = Signal.like(self.read_address, name="registered_address", reset_less=True)
        write = Signal.like(self.write, name="registered_write")
        m.d.sync += [address.eq(self.read_address), write.eq(self.write)]
        first, chosen = 0, 0
        for number, size in enumerate(self.sizes):
            read_data = Signal(self.width, name=f"bank_{number}")
            kept = Signal(self.width, name=f"kept_{number}", reset_less=True)
            asked, shown = Signal(name=f"asked_{number}"), Signal(name=f"shown_{number}")
            inside = exact_log2(size)
            m.submodules[f"bank_{number}"] = self._bank(m, number, size, first, address, write, read_data)
            # A bank begins at a multiple of its size, because those before it are larger.
            m.d.sync += [asked.eq(address[inside:] == first >> inside), shown.eq(asked), kept.eq(read_data)]
            chosen = Mux(shown, kept, chosen) if number else kept
            first += size
        m.d.comb += self.read_data.eq(chosen)
        return m

    def _bank(self, m, number, size, first, read_address, write, read_data):
        inside, columns = exact_log2(size), self.width // COLUMN_BITS
        enables = Signal(columns, name=f"enables_{number}")
        m.d.comb += enables.eq(Mux(write.address[inside:] == first >> inside, write.enables, 0))
        return Instance(
            "storage_bank",
            p_WORDS=size,
            p_ADDRESS_BITS=inside,
            p_COLUMNS=columns,
            p_FILE=self.files[number] if self.files else "",
            i_clk=ClockSignal(),
            i_read_address=read_address[:inside],
            o_read_data=read_data,
            i_write_address=write.address[:inside],
            i_write_data=write.data,
            i_write_enable=enables,
        )
