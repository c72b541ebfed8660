"""One stream of beats to the words of the scratchpad that they are for."""

from amaranth import Module, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import bank_row, parameter_word, weight_word
from hdl.transfer.containers import resize_elements
from hdl.transfer.load_receiver import TARGET_BITS
from hdl.transfer.weight_unpacker import WIDTH_CODE_BITS, WeightUnpacker
from hdl.transfer.word_assembler import WordAssembler
from quantflow.isa import Target


class WordDecoder(wiring.Component):
    """Gives each beat to the converter of `target`; each converter has its own stream of words.

        ACTIVATION: a row of P * `lanes` containers, sign-extended values of activation_bits, bank
                    0's lowest; bits above them are dropped
        WEIGHT:     `lanes**2` elements of `2 << width` bits
        PARAMETER:  `lanes` records without gaps; bits above them are dropped

    `target` and `width` are constant from a word's first beat to its last. A beat is taken in every
    cycle in which the word before of the same target is not waiting.

    Ports: beats In(stream of unsigned(beat_bits)); target, width In(2); rows, weights, parameters
    Out(streams of bank_row, weight_word, parameter_word); completes Out(1): the next beat taken is
    the last of its word.
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "target": In(TARGET_BITS),
            "width": In(WIDTH_CODE_BITS),
            "rows": Out(stream.Signature(bank_row(config))),
            "weights": Out(stream.Signature(weight_word(config))),
            "parameters": Out(stream.Signature(parameter_word(config))),
            "completes": Out(1),
        })

    def elaborate(self, platform):
        config = self.config
        m = Module()
        m.submodules.weights = weights = WeightUnpacker(config)
        m.submodules.parameters = parameters = WordAssembler(config.beat_bits, config.parameter_word_beats)
        m.submodules.rows = rows = WordAssembler(config.beat_bits, config.bank_row_beats)
        m.d.comb += weights.width.eq(self.width)
        converters = {Target.ACTIVATION: rows, Target.WEIGHT: weights, Target.PARAMETER: parameters}
        m.d.comb += [converter.beats.payload.eq(self.beats.payload) for converter in converters.values()]
        with m.Switch(self.target):
            for target, converter in converters.items():
                with m.Case(target):
                    m.d.comb += [
                        converter.beats.valid.eq(self.beats.valid),
                        self.beats.ready.eq(converter.beats.ready),
                        self.completes.eq(converter.completes),
                    ]
        elements = resize_elements(
            rows.words.payload,
            count=config.pixels * config.lanes,
            from_bits=config.activation_container_bits,
            to_bits=config.activation_bits,
        )
        outputs = (
            (self.rows, rows.words, elements),
            (self.weights, weights.words, weights.words.payload),
            (self.parameters, parameters.words, parameters.words.payload),
        )
        for output, words, payload in outputs:
            m.d.comb += [
                output.payload.eq(payload),
                output.valid.eq(words.valid),
                words.ready.eq(output.ready),
            ]
        return m
