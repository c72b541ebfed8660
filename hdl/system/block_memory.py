"""The machine's memory in block RAM."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, connect, flipped
from amaranth.utils import exact_log2

from hdl.bus.axi import read_signature, write_signature
from hdl.system.bursts import TAG, ReadBursts, WriteBursts, address_of, answer
from hdl.system.host_access import HOST_ACCESS, host_signature
from hdl.system.storage import COLUMN_BITS, Storage

READ_BEATS = 8  # under way or waiting; enough for one in every cycle
WAITING = data.StructLayout({"tag": TAG, "valid": 1})  # of a beat that the storage is reading


class BlockMemory(wiring.Component):
    """Block RAM as an AXI4 slave for the machine, with a side door for the host.

    Bursts are answered a beat a cycle, reads and writes at the same time: see ReadBursts and WriteBursts. A beat
    outside the memory reads as anything, writes nothing and is answered DECERR.

    The host's accesses go first, and take the machine's beat of a cycle: a host at a serial line asks too rarely to be
    felt.

    `memory_bytes` are rounded up to a beat; `files` as in Storage. Raises ValueError for a configuration with more
    than one memory port.

    Ports: read In(read_signature); write In(write_signature); host In(host_signature).
    """

    latency = ReadBursts.latency + Storage.latency + 1  # cycles from a read's address to its first beat

    def __init__(self, config, memory_bytes, *, files=()):
        if config.ports != 1:
            raise ValueError(f"a memory in block RAM serves a machine with ports = 1, not {config.ports}")
        self.config, self.files = config, files
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
        m.submodules.storage = storage = Storage(self.beats, self.config.port_bits, files=self.files)
        m.submodules.writes = writes = WriteBursts(self.config, self.beats)
        connect(m, flipped(self.write), writes.axi)
        columns = self.config.port_bits // COLUMN_BITS
        column_bits = exact_log2(columns)
        host = Signal(HOST_ACCESS)  # it comes from afar, and decides over every beat
        m.d.sync += [getattr(host, name).eq(getattr(self.host, name)) for name, _ in HOST_ACCESS]
        column, beat = host.address[:column_bits], host.address[column_bits:]
        read_column, host_reading = Signal(column_bits), Signal(Storage.latency)
        host_reads, host_writes = host.enable & ~host.write, host.enable & host.write
        m.d.sync += host_reading.eq(Cat(host_reads, host_reading))
        with m.If(host_reads):
            m.d.sync += read_column.eq(column)
        read_beat = self._read(m, host_reads, storage.read_data)
        m.d.comb += [
            self.host.ready.eq(1),
            self.host.read_data.eq(storage.read_data.word_select(read_column, COLUMN_BITS)),
            self.host.read_valid.eq(host_reading[-1]),
            writes.hold.eq(host_writes),
            storage.read_address.eq(Mux(host_reads, beat, read_beat)),
            storage.write.address.eq(Mux(host_writes, beat, writes.beat)),
            storage.write.data.eq(Mux(host_writes, host.write_data.replicate(columns), self.write.wdata)),
            storage.write.enables.eq(Mux(host_writes, 1 << column, writes.enables)),
        ]
        return m

    def _read(self, m, taken, read_data):
        """Issue the bursts' beats in cycles that are not `taken`; returns the beat asked for.

        What was read waits in a queue, which has room for every beat on its way.
        """
        axi = self.read
        m.submodules.reads = reads = ReadBursts(self.config, self.beats)
        m.submodules.beats = beats = SyncFIFO(width=TAG.size + len(read_data), depth=READ_BEATS)
        room, given = Signal(range(READ_BEATS + 1), init=READ_BEATS), Signal()
        issue = reads.beats.valid & reads.beats.ready
        waiting = Signal(data.ArrayLayout(WAITING, Storage.latency))
        m.d.comb += [
            *address_of(axi, reads.bursts),
            reads.beats.ready.eq((room != 0) & ~taken),
            beats.w_en.eq(waiting[-1].valid),
            beats.w_data.eq(Cat(waiting[-1].tag, read_data)),
            *answer(axi, TAG(beats.r_data[: TAG.size])),
            axi.rvalid.eq(beats.r_rdy),
            axi.rdata.eq(beats.r_data[TAG.size :]),
            given.eq(axi.rvalid & axi.rready),
            beats.r_en.eq(given),
        ]
        m.d.sync += [waiting.eq(Cat(reads.beats.payload.tag, issue, waiting)), room.eq(room - issue + given)]
        return reads.beats.payload.beat
