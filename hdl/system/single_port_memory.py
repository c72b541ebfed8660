"""The machine's memory in large RAM with one port."""

from amaranth import ClockSignal, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect, flipped
from amaranth.utils import ceil_log2, exact_log2

from hdl.bus.axi import read_signature, write_signature
from hdl.system.bursts import TAG, ReadBursts, WriteBursts, address_of, answer
from hdl.system.host_access import host_signature
from hdl.system.storage import COLUMN_BITS

BANK_WORDS = 16384  # of iCE40's large RAM


class SinglePortMemory(wiring.Component):
    """iCE40's large RAM as an AXI4 slave for the machine, with a side door for the host: one access a cycle.

    The host goes first, then the machine's writes, then its reads. A beat that was read stays at the RAM's output until
    the machine takes it; so long there is no other access, and host and writes wait. The machine takes what it asked
    for without waiting for its writes. Small, for a slow clock: nothing on the way to the RAM or back passes a
    register. Otherwise as BlockMemory.

    `memory_bytes` are rounded up to a beat. Raises ValueError for a configuration with more than one memory port.

    Ports: read In(read_signature); write In(write_signature); host In(host_signature).
    """

    latency = ReadBursts.latency + 1  # cycles from a read's address to its first beat

    def __init__(self, config, memory_bytes):
        if config.ports != 1:
            raise ValueError(f"a memory in large RAM serves a machine with ports = 1, not {config.ports}")
        self.config = config
        self.beats = -(-memory_bytes // config.beat_bytes)
        super().__init__({
            "read": In(read_signature(config)),
            "write": In(write_signature(config)),
            "host": In(host_signature()),
        })

    @property
    def words(self):
        """Words of 32 bits."""
        return self.beats * self.config.port_bits // COLUMN_BITS

    def elaborate(self, platform):
        m = Module()
        axi, host = self.read, self.host
        m.submodules.writes = writes = WriteBursts(self.config, self.beats)
        m.submodules.reads = reads = ReadBursts(self.config, self.beats)
        connect(m, flipped(self.write), writes.axi)
        columns = self.config.port_bits // COLUMN_BITS
        column_bits = exact_log2(columns)
        column, beat = host.address[:column_bits], host.address[column_bits:]
        read_column, tag = Signal(column_bits), Signal(TAG)
        waits, host_turn, enables = axi.rvalid & ~axi.rready, Signal(), Signal(columns)
        issue = reads.beats.valid & reads.beats.ready
        host_reads = host_turn & ~host.write
        m.d.comb += [
            host.ready.eq(~waits),
            host_turn.eq(host.enable & host.ready),
            writes.hold.eq(host_turn | waits),
            enables.eq(Mux(host_turn & host.write, 1 << column, writes.enables)),
            *address_of(axi, reads.bursts),
            reads.beats.ready.eq(~waits & ~host_turn & ~enables.any()),
            *answer(axi, tag),
            host.read_data.eq(axi.rdata.word_select(read_column, COLUMN_BITS)),
        ]
        m.d.sync += [axi.rvalid.eq(issue | waits), host.read_valid.eq(host_reads)]
        with m.If(issue):
            m.d.sync += tag.eq(reads.beats.payload.tag)
        with m.If(host_reads):
            m.d.sync += read_column.eq(column)
        bus_beat = Mux(writes.enables.any(), writes.beat, reads.beats.payload.beat)
        words = BANK_WORDS * -(-self.beats // BANK_WORDS)
        m.submodules.ram = Instance(
            "storage_single",
            p_WORDS=words,
            p_ADDRESS_BITS=ceil_log2(words),
            p_COLUMNS=columns,
            i_clk=ClockSignal(),
            i_address=Mux(host_turn, beat, bus_beat)[: ceil_log2(words)],
            i_read_enable=issue | host_reads,
            o_read_data=axi.rdata,
            i_write_data=Mux(host_turn, host.write_data.replicate(columns), self.write.wdata),
            i_write_enable=enables,
        )
        return m
