"""The store unit: activation scratchpad to memory."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import request_layout
from hdl.layouts import bank_row, struct_layout
from hdl.sequencing.address_arithmetic import select
from hdl.transfer.containers import resize_elements
from hdl.transfer.row_reader import RowReader
from hdl.transfer.word_serializer import WordSerializer
from quantflow.isa import WRITABLE, Region, Store


class StoreUnit(wiring.Component):
    """Performs isa.Store: rows of the activation banks go to memory as is said there.

        request = {base[region] + memory_address, beats}
        beats = the rows' sign-extended containers, bank 0's lowest channel first, zeros behind the
                last bank's

    One instruction at a time, one beat per cycle as long as scratchpad and memory agree. `done`
    pulses when memory has answered everything: `written` is high while nothing that was handed to
    the memory's write port is unanswered, a level (MemoryWriter's `idle`). A region that does not
    exist, or no beats, is not begun and holds `error_illegal`; beats that are not those of whole
    rows set it in mid-run. After an error the unit wants a reset. A request for a region that is not
    in WRITABLE has no base: RegionCheck holds it back.

    Ports: instructions In(stream of isa.Store's layout); bases In, by region;
    requests Out(stream of request_layout); beats Out(stream of unsigned(beat_bits)); written In(1);
    store_read Out(stream of addresses), rows In(stream of bank_row): see ActivationScratchpad; done,
    busy, error_illegal Out(1).
    """

    latency = RowReader.latency + 1 + WordSerializer.latency  # cycles from an instruction to its first beat

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(Store, config))),
            "bases": In(data.ArrayLayout(config.memory_address_bits, len(Region))),
            "requests": Out(stream.Signature(request_layout(config))),
            "beats": Out(stream.Signature(unsigned(config.beat_bits))),
            "written": In(1),
            "store_read": Out(stream.Signature(unsigned(config.word_address_bits))),
            "rows": In(stream.Signature(bank_row(config))),
            "done": Out(1),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        config = self.config
        m = Module()
        m.submodules.reader = reader = RowReader(config)
        m.submodules.serializer = serializer = WordSerializer(config.beat_bits, config.bank_row_beats)
        connect(m, reader.addresses, flipped(self.store_read))
        connect(m, serializer.beats, flipped(self.beats))
        active, finish, legal = Signal(), Signal(), Signal()
        self._begin(m, reader, legal, active)
        containers = resize_elements(
            self.rows.payload.as_value(),
            count=config.pixels * config.lanes,
            from_bits=config.activation_bits,
            to_bits=config.activation_container_bits,
        )
        moving = reader.busy | self.rows.valid | serializer.busy | self.requests.valid
        m.d.comb += [
            serializer.words.payload.eq(containers),
            serializer.words.valid.eq(self.rows.valid),
            self.rows.ready.eq(serializer.words.ready),
            finish.eq(active & ~moving & self.written),
            self.busy.eq(active | self.done),
            self.error_illegal.eq((self.instructions.valid & ~legal) | reader.error_illegal),
        ]
        m.d.sync += self.done.eq(finish)
        with m.If(finish):
            m.d.sync += active.eq(0)
        return m

    def _begin(self, m, reader, legal, active):
        """Take an instruction: its request to memory, its rows to the reader."""
        store, request = self.instructions.payload, self.requests.payload
        base = select((self.bases[region], store.region == region) for region in WRITABLE)
        m.d.comb += [
            legal.eq((store.region < len(Region)) & (store.beats != 0)),
            self.instructions.ready.eq(legal & ~active),
            reader.start.eq(self.instructions.valid & self.instructions.ready),
            reader.run.address.eq(store.word_address),
            reader.run.beats.eq(store.beats),
        ]
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(reader.start):
            m.d.sync += [
                active.eq(1),
                self.requests.valid.eq(1),
                request.address.eq(base + store.memory_address),
                request.beats.eq(store.beats),
            ]
