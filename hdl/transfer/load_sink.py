"""The sink side of loads: from memory's beats into the scratchpads."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.layouts import parameter_word, row_write, weight_word, word_write
from hdl.transfer.load_receiver import TARGET_BITS, LoadReceiver, receipt_layout
from hdl.transfer.word_decoder import WordDecoder
from quantflow.isa import Target


def place_layout(config):
    """Where a load's words go."""
    return data.StructLayout({"target": TARGET_BITS, "word_address": config.word_address_bits})


class LoadSink(wiring.Component):
    """Performs loads one after another: their words go to consecutive addresses of a scratchpad.

        scratchpad[word_address + n] = word n

    A load comes twice: `receipts` say which beats are whose, `places` where words go; each queue
    runs ahead by itself, so that a load's first beat follows the last one of the load before
    without a gap. One beat per cycle as long as the activation scratchpad accepts; the others
    always do. `done` pulses in the cycle after a load's last word was accepted. A word outside the
    weight or parameter scratchpad is not written and pulses `error_address_weight`; beats that do
    not fill a whole number of words pulse `error_illegal`. Addresses in the activation scratchpad
    are checked there. After an error the component wants a reset.

    Ports: receipts In(stream of receipt_layout); places In(stream of place_layout); beats In(stream
    of unsigned(beat_bits)); activation_write Out(stream of row_write); weight_write,
    parameter_write Out(word_write); done, busy, error_illegal, error_address_weight Out(1).
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "receipts": In(stream.Signature(receipt_layout(config))),
            "places": In(stream.Signature(place_layout(config))),
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "activation_write": Out(stream.Signature(row_write(config))),
            "weight_write": Out(word_write(weight_word(config), config.weight_address_bits)),
            "parameter_write": Out(word_write(parameter_word(config), config.parameter_address_bits)),
            "done": Out(1),
            "busy": Out(1),
            "error_illegal": Out(1),
            "error_address_weight": Out(1),
        })

    @property
    def latency(self):
        """Cycles from a word's last beat to its write, where the scratchpad accepts at once."""
        return WordDecoder.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = LoadReceiver(self.config)
        m.submodules.decoder = decoder = WordDecoder(self.config)
        connect(m, flipped(self.receipts), receiver.loads)
        connect(m, flipped(self.beats), receiver.beats)
        connect(m, receiver.decoder_beats, decoder.beats)
        active, written, finish, passed = Signal(), Signal(), Signal(), Signal()
        # Loads whose beats have all arrived, but not all words been written: a word of each target
        # may wait in the decoder.
        arrived = Signal(range(len(Target) + 1))
        place = Signal(place_layout(self.config))
        m.d.comb += [
            decoder.target.eq(receiver.target),
            decoder.width.eq(receiver.width),
            passed.eq(receiver.last & decoder.beats.valid & decoder.beats.ready),
            finish.eq(written & (arrived != 0)),
            self.places.ready.eq(~active | finish),
            self.busy.eq(receiver.busy | active | self.done),
            self.error_illegal.eq(passed & ~decoder.completes),
        ]
        m.d.sync += [arrived.eq(arrived + passed - finish), self.done.eq(finish)]
        with m.If(self.places.ready):
            m.d.sync += [place.eq(self.places.payload), active.eq(self.places.valid)]
        with m.Elif(written):
            m.d.sync += place.word_address.eq(place.word_address + 1)
        self._write(m, decoder, place, active, written)
        return m

    def _write(self, m, decoder, place, active, written):
        """Write the present load's next word; `written`: it is accepted in this cycle."""
        rows, words = decoder.rows, ((decoder.weights, self.weight_write), (decoder.parameters, self.parameter_write))
        depths = self.config.weight_depth, self.config.parameter_depth
        m.d.comb += [
            self.activation_write.payload.address.eq(place.word_address),
            self.activation_write.payload.data.eq(rows.payload),
        ]
        with m.If(active & (place.target == Target.ACTIVATION)):
            m.d.comb += [
                self.activation_write.valid.eq(rows.valid),
                rows.ready.eq(self.activation_write.ready),
                written.eq(rows.valid & rows.ready),
            ]
        for target, (source, write), depth in zip((Target.WEIGHT, Target.PARAMETER), words, depths):
            m.d.comb += [write.address.eq(place.word_address), write.data.eq(source.payload)]
            with m.If(active & (place.target == target)):
                m.d.comb += [
                    source.ready.eq(1),
                    written.eq(source.valid),
                    write.enable.eq(source.valid & (place.word_address < depth)),
                    self.error_address_weight.eq(source.valid & (place.word_address >= depth)),
                ]
