"""The sink side of loads: from the port's beats into the scratchpads."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import request_layout
from hdl.layouts import bank_write, parameter_word, weight_word, word_write
from hdl.transfer.map_walker import MapWalker, walk_layout
from hdl.transfer.weight_unpacker import WIDTH_CODE_BITS
from hdl.transfer.word_decoder import TARGET_BITS, WordDecoder
from quantflow.isa import Target


def word_address_bits(config):
    """Bits that count words in the weight and in the parameter scratchpad."""
    return max(config.weight_address_bits, config.parameter_address_bits)


def descriptor_layout(config):
    """What the sink side has to know of a load."""
    return data.StructLayout({
        "target": TARGET_BITS,
        "width": WIDTH_CODE_BITS,
        "beats": request_layout(config)["beats"].shape,
        "word_address": word_address_bits(config),
        "walk": walk_layout(config),
    })


class LoadSink(wiring.Component):
    """Performs loads one after another: takes a descriptor, then its beats.

        ACTIVATION: word n goes to the n-th place of the map, see MapWalker
        WEIGHT, PARAMETER: word n goes to scratchpad[word_address + n]

    One beat per cycle as long as the scratchpad accepts; one cycle between two loads. `done`
    pulses in the cycle after the scratchpad has accepted a load's last word. A word outside the
    weight or parameter scratchpad is not written and pulses `error_address_weight`; beats that do
    not fill a whole number of words, or a map exactly, pulse `error_illegal`. Addresses in the
    activation scratchpad are checked there. After an error the component wants a reset.

    Ports: descriptors In(stream of descriptor_layout); beats In(stream of unsigned(port_bits));
    activation_write Out(stream of bank_write); weight_write, parameter_write Out(word_write);
    done, busy, error_illegal, error_address_weight Out(1).
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "descriptors": In(stream.Signature(descriptor_layout(config))),
            "beats": In(stream.Signature(unsigned(config.port_bits))),
            "activation_write": Out(stream.Signature(bank_write(config))),
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
        m.submodules.decoder = decoder = WordDecoder(self.config)
        m.submodules.walker = walker = MapWalker(self.config)
        load = Signal(descriptor_layout(self.config))
        active, finish, written, waiting = Signal(), Signal(), Signal(), Signal()
        start = self.descriptors.valid & self.descriptors.ready
        m.d.comb += [
            finish.eq(active & (load.beats == 0) & ~waiting),
            self.descriptors.ready.eq(~active | finish),
            self.busy.eq(active | self.done),
            walker.walk.eq(self.descriptors.payload.walk),
            walker.start.eq(start),
            walker.step.eq(written),
            self.error_illegal.eq(
                (finish & ~written) | (written & (load.target == Target.ACTIVATION) & (walker.last != finish))
            ),
        ]
        m.d.sync += [self.done.eq(finish), active.eq(self.descriptors.valid | (active & ~finish))]
        with m.If(start):
            m.d.sync += load.eq(self.descriptors.payload)
        with m.Else():
            m.d.sync += [
                load.beats.eq(load.beats - (self.beats.valid & self.beats.ready)),
                load.word_address.eq(load.word_address + written),
            ]
        self._receive(m, decoder, load, active)
        self._write(m, decoder, walker, load.word_address, written, waiting)
        return m

    def _receive(self, m, decoder, load, active):
        """Hand on the beats that belong to the present load."""
        open_ = active & (load.beats != 0)
        m.d.comb += [
            decoder.target.eq(load.target),
            decoder.width.eq(load.width),
            decoder.beats.payload.eq(self.beats.payload),
            decoder.beats.valid.eq(self.beats.valid & open_),
            self.beats.ready.eq(decoder.beats.ready & open_),
        ]

    def _write(self, m, decoder, walker, word_address, written, waiting):
        """Write each word; `written`: one is taken in this cycle, `waiting`: one is refused."""
        activations, weights, parameters = decoder.activations, decoder.weights, decoder.parameters
        weight_legal = word_address < self.config.weight_depth
        parameter_legal = word_address < self.config.parameter_depth
        m.d.comb += [
            self.activation_write.payload.bank.eq(walker.bank),
            self.activation_write.payload.address.eq(walker.address),
            self.activation_write.payload.data.eq(activations.payload),
            self.activation_write.valid.eq(activations.valid),
            activations.ready.eq(self.activation_write.ready),
            self.weight_write.enable.eq(weights.valid & weight_legal),
            self.weight_write.address.eq(word_address),
            self.weight_write.data.eq(weights.payload),
            weights.ready.eq(1),
            self.parameter_write.enable.eq(parameters.valid & parameter_legal),
            self.parameter_write.address.eq(word_address),
            self.parameter_write.data.eq(parameters.payload),
            parameters.ready.eq(1),
            self.error_address_weight.eq((weights.valid & ~weight_legal) | (parameters.valid & ~parameter_legal)),
            written.eq((activations.valid & activations.ready) | weights.valid | parameters.valid),
            waiting.eq(activations.valid & ~activations.ready),
        ]
