"""Replies to bytes of the serial line."""

from amaranth import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.system.frames import BYTE_BITS, REPLY, REPLY_START, WORD_BITS, WORD_BYTES, crc_signature


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
        crc, reply, words = self.crc, self.replies.payload, self.words
        word, words_left = Signal(WORD_BITS), Signal.like(reply.count)
        left = Signal(range(WORD_BYTES), init=WORD_BYTES - 1)  # of four bytes, those behind the next one
        offered, given = Signal(), Signal()
        last = given & (left == 0)
        head = Array((reply.count, reply.status, reply.sequence, REPLY_START))
        m.d.comb += [
            self.bytes.payload.eq(word[:BYTE_BITS]),
            self.bytes.valid.eq(offered & crc.ready),
            given.eq(self.bytes.valid & self.bytes.ready),
            crc.data.eq(self.bytes.payload),
            crc.valid.eq(given),
        ]
        with m.If(given):
            m.d.sync += left.eq(left - 1)
        with m.FSM():
            with m.State("REPLY"):
                m.d.comb += [self.bytes.payload.eq(head[left]), offered.eq(self.replies.valid)]
                m.d.comb += crc.start.eq(left == WORD_BYTES - 1)  # the first byte does not count
                m.d.sync += words_left.eq(reply.count)
                with m.If(last):
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += words.ready.eq(words_left != 0)
                with m.If(words_left == 0):
                    m.next = "CRC"
                with m.Elif(words.valid):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += offered.eq(1)
                with m.If(last):
                    m.d.sync += words_left.eq(words_left - 1)
                    m.next = "NEXT"
            with m.State("CRC"):
                # The complement of a CRC's byte, taken as data, brings the next one.
                m.d.comb += [self.bytes.payload.eq(crc.byte), crc.data.eq(~crc.byte), offered.eq(1)]
                with m.If(last):
                    m.d.comb += self.replies.ready.eq(1)
                    m.next = "REPLY"
        with m.If(words.ready):
            m.d.sync += word.eq(words.payload)
        with m.Elif(given):
            m.d.sync += word.eq(word >> BYTE_BITS)
        return m
