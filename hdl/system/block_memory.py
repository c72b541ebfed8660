"""The machine's memory in block RAM."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import ADDRESS_BITS, BOUNDARY_BYTES, ID_BITS, LENGTH_BITS, read_signature, write_signature
from hdl.system.storage import COLUMN_BITS, Storage

OKAY, DECERR = 0, 3  # xRESP
TAG = data.StructLayout({"id": ID_BITS, "last": 1, "outside": 1, "valid": 1})  # of a beat that is read
READ_BEATS = 8  # under way or waiting; enough for one in every cycle
HOST_ACCESS = data.StructLayout({"enable": 1, "write": 1, "address": ADDRESS_BITS, "write_data": COLUMN_BITS})


def host_signature():
    """Accesses to words of 32 bits, one in each cycle with `enable`; what was read is there with `read_valid`.

    After a read the next access waits for that.
    """
    return wiring.Signature({
        **{name: Out(field.shape) for name, field in HOST_ACCESS},  # addresses in words, below the memory's number
        "read_data": In(COLUMN_BITS),
        "read_valid": In(1),
    })


class BlockMemory(wiring.Component):
    """Block RAM as an AXI4 slave for the machine, with a side door for the host.

    Bursts (INCR, of whole beats, inside 4 KB: what the machine asks for) are answered in order, a beat a cycle, reads
    and writes at the same time; the next burst follows without a gap. A beat outside the memory reads as anything,
    writes nothing and is answered DECERR. Of the strobes of 32 bits only the first is looked at: the machine sets
    all or none (see WritePort).

    The host's accesses go first, and take the machine's beat of a cycle: a host at a serial line asks too rarely to be
    felt.

    `memory_bytes` are rounded up to a beat; `files` and `single_port` as in Storage. With `single_port` writes go
    before reads. Raises ValueError for a configuration with more than one memory port.

    Ports: read In(read_signature); write In(write_signature); host In(host_signature).
    """

    latency = Storage.latency + 2  # cycles from a read's address to its first beat

    def __init__(self, config, memory_bytes, *, files=(), single_port=False):
        if config.ports != 1:
            raise ValueError(f"a memory in block RAM serves a machine with ports = 1, not {config.ports}")
        self.config, self.files, self.single_port = config, files, single_port
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
        m.submodules.storage = storage = Storage(
            self.beats, self.config.port_bits, files=self.files, single_port=self.single_port
        )
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
        m.d.comb += [
            self.host.read_data.eq(storage.read_data.word_select(read_column, COLUMN_BITS)),
            self.host.read_valid.eq(host_reading[-1]),
        ]
        # Of a single port nothing is read while something is written.
        written, write_beat = self._write(m, host.enable if self.single_port else host_writes)
        taken = host.enable | written.any() if self.single_port else host_reads
        read_beat = self._read(m, taken, storage.read_data)
        m.d.comb += [
            storage.read_address.eq(Mux(host_reads, beat, read_beat)),
            storage.write.address.eq(Mux(host_writes, beat, write_beat)),
            storage.write.data.eq(Mux(host_writes, host.write_data.replicate(columns), self.write.wdata)),
            storage.write.enables.eq(Mux(host_writes, 1 << column, written)),
        ]
        return m

    def _position(self, m, prefix, axi, next_burst, step):
        """The beat address of a channel's burst, its tag's parts, and whether it lies outside."""
        inside = exact_log2(self.config.port_bytes)
        page = exact_log2(BOUNDARY_BYTES // self.config.port_bytes)
        address = Signal(ADDRESS_BITS - inside, name=f"{prefix}_beat")
        burst_id = Signal(ID_BITS, name=f"{prefix}_id")
        with m.If(next_burst):
            m.d.sync += [address.eq(getattr(axi, f"{prefix}addr")[inside:]), burst_id.eq(getattr(axi, f"{prefix}id"))]
        with m.Elif(step):
            m.d.sync += address[:page].eq(address[:page] + 1)  # no burst leaves its page
        return address, burst_id, address >= self.beats

    def _read(self, m, taken, read_data):
        """Issue the burst's beats in cycles that are not `taken`; returns the beat asked for.

        What was read waits in a queue, which has room for every beat on its way.
        """
        axi = self.read
        active, left, room = Signal(), Signal(LENGTH_BITS), Signal(range(READ_BEATS + 1), init=READ_BEATS)
        issue, next_burst, given = Signal(), Signal(), Signal()
        address, burst_id, outside = self._position(m, "ar", axi, next_burst, issue)
        tags = Signal(data.ArrayLayout(TAG, Storage.latency))  # of the beats that the storage is reading
        m.submodules.beats = beats = SyncFIFO(width=TAG.size + len(read_data), depth=READ_BEATS)
        arriving, tag = tags[-1], TAG(beats.r_data[: TAG.size])
        m.d.comb += [
            issue.eq(active & (room != 0) & ~taken),
            axi.arready.eq(~active | (issue & (left == 0))),
            next_burst.eq(axi.arvalid & axi.arready),
            beats.w_en.eq(arriving.valid),
            beats.w_data.eq(Cat(arriving, read_data)),
            axi.rvalid.eq(beats.r_rdy),
            axi.rdata.eq(beats.r_data[TAG.size :]),
            axi.rid.eq(tag.id),
            axi.rlast.eq(tag.last),
            axi.rresp.eq(Mux(tag.outside, DECERR, OKAY)),
            given.eq(axi.rvalid & axi.rready),
            beats.r_en.eq(given),
        ]
        m.d.sync += [tags.eq(Cat(burst_id, left == 0, outside, issue, tags)), room.eq(room - issue + given)]
        with m.If(next_burst):
            m.d.sync += [active.eq(1), left.eq(axi.arlen)]
        with m.Elif(issue):
            m.d.sync += [active.eq(left != 0), left.eq(left - 1)]
        return address

    def _write(self, m, taken):
        """Take the burst's beats in cycles that are not `taken`; returns the columns written and the beat's address."""
        axi = self.write
        active, failed, beat, next_burst = Signal(), Signal(), Signal(), Signal()
        address, burst_id, outside = self._position(m, "aw", axi, next_burst, beat)
        last = beat & axi.wlast
        written = Signal(self.config.port_bits // COLUMN_BITS)
        m.d.comb += [
            axi.wready.eq(active & ~taken & (~axi.bvalid | axi.bready)),
            beat.eq(axi.wvalid & axi.wready),
            axi.awready.eq(~active | last),
            next_burst.eq(axi.awvalid & axi.awready),
            written.eq(Mux(beat & ~outside, axi.wstrb[:: COLUMN_BITS // 8], 0)),
        ]
        with m.If(beat):
            m.d.sync += failed.eq((failed | outside) & ~axi.wlast)
        with m.If(next_burst):
            m.d.sync += active.eq(1)
        with m.Elif(last):
            m.d.sync += active.eq(0)
        with m.If(last):
            m.d.sync += [axi.bvalid.eq(1), axi.bid.eq(burst_id), axi.bresp.eq(Mux(failed | outside, DECERR, OKAY))]
        with m.Elif(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        return written, address
