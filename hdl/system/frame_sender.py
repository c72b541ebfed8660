"""Replies to bytes of the serial line."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.system.frames import REPLY, REPLY_START, WORD_BITS, WORD_BYTES, crc_signature


class FrameSender(wiring.Component):
    """Sends a reply's frame: first byte, reply, as many of `words` as its count says, CRC.

    The reply is taken with the frame's last byte.

    Ports: replies In(stream of REPLY); words In(stream of 32 bits); bytes Out(stream of 8 bits); crc
    Out(crc_signature), in use while a reply is offered.
    """

    def __init__(self):
        super().__init__({
            "replies": In(stream.Signature(REPLY)),
            "words": In(stream.Signature(WORD_BITS)),
            "bytes": Out(stream.Signature(8)),
            "crc": Out(crc_signature()),
        })

    def elaborate(self, platform):
        m = Module()
        crc = self.crc
        word, bytes_left = Signal(WORD_BITS), Signal(range(WORD_BYTES + 1))
        words_left = Signal.like(self.replies.payload.count)
        counted = Signal()  # the next byte is one of those over which the CRC is taken
        m.d.comb += [
            self.bytes.valid.eq(bytes_left != 0),
            self.bytes.payload.eq(word[:8]),
            crc.data.eq(word[:8]),
            crc.valid.eq(self.bytes.valid & self.bytes.ready & counted),
        ]
        with m.FSM():
            with m.State("REPLY"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += counted.eq(0)
                with m.If(self.replies.valid):
                    m.d.sync += [
                        word.eq(Cat(Const(REPLY_START, 8), self.replies.payload)),
                        bytes_left.eq(WORD_BYTES),
                        words_left.eq(self.replies.payload.count),
                    ]
                    m.next = "WORDS"
            with m.State("WORDS"):
                with m.If(self.bytes.valid & self.bytes.ready):
                    m.d.sync += counted.eq(1)
                with m.Elif((bytes_left == 0) & (words_left != 0)):
                    m.d.comb += self.words.ready.eq(1)
                    with m.If(self.words.valid):
                        m.d.sync += [
                            word.eq(self.words.payload),
                            bytes_left.eq(WORD_BYTES),
                            words_left.eq(words_left - 1),
                        ]
                with m.Elif(bytes_left == 0):
                    m.d.sync += [word.eq(crc.crc), bytes_left.eq(WORD_BYTES), counted.eq(0)]
                    m.next = "CRC"
            with m.State("CRC"):
                with m.If(bytes_left == 0):
                    m.d.comb += self.replies.ready.eq(1)
                    m.next = "REPLY"
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [word.eq(word >> 8), bytes_left.eq(bytes_left - 1)]
        return m
