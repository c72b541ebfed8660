"""The load unit: memory to scratchpads."""

from amaranth import Cat, Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import request_layout
from hdl.layouts import parameter_word, row_write, struct_layout, weight_word, word_write
from hdl.transfer.load_requester import LoadRequester
from hdl.transfer.load_sink import LoadSink
from quantflow.isa import Load, Region


class LoadUnit(wiring.Component):
    """Performs isa.Load: what it does to the scratchpads is said there.

    Requests run ahead of data: while one load's beats arrive, as many of the next ones' as there may
    be bursts under way are asked for already, so that memory's latency is hidden. One beat per cycle as
    long as the scratchpad accepts, also from one load to the next. `done` pulses, in the instructions'
    order, in the cycle after the last word was accepted. After an error (see LoadRequester and LoadSink) the
    unit wants a reset; beats under way are then nobody's, MemoryReader's `flush` swallows them.

    Ports: instructions In(stream of isa.Load's layout); bases In, by region;
    requests Out(stream of request_layout); beats In(stream of unsigned(beat_bits)); activation_write
    Out(stream of row_write); weight_write, parameter_write Out({enable, address, data});
    done, busy, error_illegal, error_address_weight Out(1).
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(Load, config))),
            "bases": In(data.ArrayLayout(config.memory_address_bits, len(Region))),
            "requests": Out(stream.Signature(request_layout(config))),
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "activation_write": Out(stream.Signature(row_write(config))),
            "weight_write": Out(word_write(weight_word(config), config.weight_address_bits)),
            "parameter_write": Out(word_write(parameter_word(config), config.parameter_address_bits)),
            "done": Out(1),
            "busy": Out(1),
            "error_illegal": Out(1),
            "error_address_weight": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.requester = requester = LoadRequester(self.config)
        m.submodules.sink = sink = LoadSink(self.config)
        connect(m, flipped(self.instructions), requester.instructions)
        connect(m, requester.requests, flipped(self.requests))
        connect(m, flipped(self.beats), sink.beats)
        connect(m, sink.activation_write, flipped(self.activation_write))
        names = "receipts", "places"
        waiting = [self._hand_on(m, name, getattr(requester, name), getattr(sink, name)) for name in names]
        m.d.comb += [
            requester.bases.eq(self.bases),
            self.weight_write.eq(sink.weight_write),
            self.parameter_write.eq(sink.parameter_write),
            self.done.eq(sink.done),
            self.busy.eq(requester.busy | sink.busy | Cat(waiting).any()),
            self.error_illegal.eq(requester.error_illegal | sink.error_illegal),
            self.error_address_weight.eq(sink.error_address_weight),
        ]
        return m

    def _hand_on(self, m, name, source, receiver):
        """A queue of as many loads as bursts may be under way; returns whether any waits there."""
        depth = self.config.outstanding_bursts if self.config.overlap else 1
        if depth == 1:  # the requester's own register is enough
            connect(m, source, receiver)
            return 0
        m.submodules[name] = queue = SyncFIFO(width=source.payload.shape().size, depth=depth)
        m.d.comb += [
            queue.w_data.eq(source.payload),
            queue.w_en.eq(source.valid),
            source.ready.eq(queue.w_rdy),
            receiver.payload.eq(queue.r_data),
            receiver.valid.eq(queue.r_rdy),
            queue.r_en.eq(receiver.ready),
        ]
        return queue.r_rdy
