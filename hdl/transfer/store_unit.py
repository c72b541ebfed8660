"""The store unit: activation scratchpad to memory."""

from amaranth import Array, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hdl.bus.axi import ADDRESS_BITS, request_layout
from hdl.layouts import activation_word, bank_address, struct_layout
from hdl.transfer.containers import resize_elements
from hdl.transfer.map_reader import MapReader
from hdl.transfer.map_walker import EXTENTS
from hdl.transfer.word_serializer import WordSerializer
from quantflow.isa import Region, Store


class StoreUnit(wiring.Component):
    """Performs isa.Store: the words of a map go to memory in the order that is said there.

        request = {base[region] + memory_address, beats}
        beats[n] = the port's width of the words' sign-extended containers, lowest channel first

    One instruction at a time, one beat per cycle as long as scratchpad and memory agree. `done`
    pulses when memory has answered everything: `written` is high while nothing that was handed to
    the memory's write port is unanswered, a level (MemoryWriter's `idle`). A region that does not
    exist, and beats that are none or not a whole number of words, are not begun and hold
    `error_illegal`; beats for more or fewer words than the map has pulse it. After an error the
    unit wants a reset.

    Ports: instructions In(stream of isa.Store's layout); bases In(ArrayLayout(32, 3)); requests
    Out(stream of request_layout); beats Out(stream of unsigned(port_bits)); written In(1);
    store_read Out(stream of bank_address), store_data In(activation_word), store_data_valid In(1):
    see ActivationScratchpad; done, busy, error_illegal Out(1).
    """

    latency = MapReader.latency + WordSerializer.latency  # cycles from an instruction to its first beat

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(Store, config))),
            "bases": In(data.ArrayLayout(ADDRESS_BITS, len(Region))),
            "requests": Out(stream.Signature(request_layout(config))),
            "beats": Out(stream.Signature(unsigned(config.port_bits))),
            "written": In(1),
            "store_read": Out(stream.Signature(bank_address(config))),
            "store_data": In(activation_word(config)),
            "store_data_valid": In(1),
            "done": Out(1),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        config = self.config
        m = Module()
        m.submodules.reader = reader = MapReader(config)
        m.submodules.serializer = serializer = WordSerializer(config.port_bits, config.activation_word_beats)
        active, finish, legal = Signal(), Signal(), Signal()
        self._begin(m, reader, legal, active)
        connect(m, reader.store_read, flipped(self.store_read))
        connect(m, serializer.beats, flipped(self.beats))
        containers = resize_elements(
            reader.words.payload.as_value(),
            count=config.lanes,
            from_bits=config.activation_bits,
            to_bits=config.activation_container_bits,
        )
        m.d.comb += [
            reader.store_data.eq(self.store_data),
            reader.store_data_valid.eq(self.store_data_valid),
            serializer.words.payload.eq(containers),
            serializer.words.valid.eq(reader.words.valid),
            reader.words.ready.eq(serializer.words.ready),
            finish.eq(active & reader.idle & ~serializer.busy & ~self.requests.valid & self.written),
            self.busy.eq(active | self.done),
            self.error_illegal.eq((self.instructions.valid & ~legal) | reader.error_illegal),
        ]
        m.d.sync += self.done.eq(finish)
        with m.If(finish):
            m.d.sync += active.eq(0)
        return m

    def _begin(self, m, reader, legal, active):
        """Take an instruction: its request to memory, its map to the reader."""
        store, request = self.instructions.payload, self.requests.payload
        word_bits = exact_log2(self.config.activation_word_beats)
        m.d.comb += [
            legal.eq((store.region < len(Region)) & (store.beats != 0) & ~store.beats[:word_bits].any()),
            self.instructions.ready.eq(legal & ~active),
            reader.start.eq(self.instructions.valid & self.instructions.ready),
            reader.count.eq(store.beats >> word_bits),
            reader.walk.map.eq(store.map),
            *(reader.walk[name].eq(store[name]) for name in EXTENTS),
        ]
        with m.If(self.requests.ready):
            m.d.sync += self.requests.valid.eq(0)
        with m.If(reader.start):
            m.d.sync += [
                active.eq(1),
                self.requests.valid.eq(1),
                request.address.eq(Array(self.bases)[store.region] + store.memory_address),
                request.beats.eq(store.beats),
            ]
