"""Bytes of the serial line to requests whose CRC is right."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.scratchpad.collisions import UNCHECKED
from hdl.system.frames import (
    MOST_WORDS,
    REQUEST,
    REQUEST_START,
    SILENCE_BITS,
    WORD_BITS,
    WORD_BYTES,
    Command,
    crc_signature,
)

HEADER_BYTES = REQUEST.size // 8


class FrameReceiver(wiring.Component):
    """Collects a frame of a request and checks it; drops what is damaged.

    A frame that is right stays at `requests` until it is taken; until then the data of a write of at most MOST_WORDS
    words can be taken from `words`. After anything wrong (another first byte, a missing stop bit, a wrong CRC, a
    byte while a request waits) a frame may begin only when the line has been silent for SILENCE_BITS bit times. A
    frame that stops for as long is forgotten.

    Ports: byte In(8); received, framing_error, receiving, bit_time In(1), from the line's Receiver; requests
    Out(stream of REQUEST); words Out(stream of 32 bits), to be taken before the request; crc Out(crc_signature), in
    use while no request waits.
    """

    def __init__(self):
        super().__init__({
            "byte": In(8),
            "received": In(1),
            "framing_error": In(1),
            "receiving": In(1),
            "bit_time": In(1),
            "requests": Out(stream.Signature(REQUEST)),
            "words": Out(stream.Signature(WORD_BITS)),
            "crc": Out(crc_signature()),
        })

    def elaborate(self, platform):
        m = Module()
        crc = self.crc
        request, header_left = self.requests.payload, Signal(range(HEADER_BYTES + 1))
        left = Signal(len(request.count) + 3)  # bytes of data and CRC still to come
        rewind, disturbed, silent = Signal(), Signal(), self._silence(m)
        m.d.comb += crc.data.eq(self.byte)
        with m.If(rewind):
            m.d.sync += left.eq(Mux(request.command == Command.WRITE, (request.count + 1) * WORD_BYTES, WORD_BYTES))
        with m.FSM() as fsm:
            with m.State("SEARCH"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [header_left.eq(HEADER_BYTES), disturbed.eq(0)]
                with m.If(self.received):
                    m.next = "DROP"
                    with m.If(self.byte == REQUEST_START):
                        m.next = "HEADER"
                self._give_up(m)
            with m.State("HEADER"):
                m.d.comb += rewind.eq(1)
                with m.If(self.received):
                    m.d.sync += [
                        request.as_value().eq(Cat(request.as_value()[8:], self.byte)),
                        header_left.eq(header_left - 1),
                    ]
                with m.If(header_left == 0):
                    m.next = "BODY"
                self._give_up(m, silent)
            with m.State("BODY"):
                with m.If(self.received):
                    m.d.sync += left.eq(left - 1)
                with m.If((left == 0) & crc.ready):
                    m.d.comb += rewind.eq(1)
                    m.next = "DROP"
                    with m.If(crc.match_detected):
                        m.next = "HOLD"
                self._give_up(m, silent)
            with m.State("HOLD"):
                m.d.comb += self.requests.valid.eq(1)
                with m.If(self.received | self.framing_error):
                    m.d.sync += disturbed.eq(1)
                with m.If(self.requests.ready):
                    m.next = "SEARCH"
                    with m.If(disturbed | self.received | self.framing_error):
                        m.next = "DROP"
            with m.State("DROP"):
                with m.If(silent):
                    m.next = "SEARCH"
        m.d.comb += crc.valid.eq(self.received & ~fsm.ongoing("SEARCH"))  # the first byte does not count
        self._buffer(m, left, fsm.ongoing("BODY"), fsm.ongoing("HOLD"))
        return m

    def _give_up(self, m, silent=0):
        """Leave a state in which a frame is looked for or collected."""
        with m.If(self.framing_error):
            m.next = "DROP"
        with m.Elif(silent):
            m.next = "SEARCH"

    def _silence(self, m):
        """High when the line has been silent for long."""
        passed, silent = Signal(range(SILENCE_BITS + 1)), Signal()
        m.d.comb += silent.eq(passed == SILENCE_BITS)
        with m.If(self.receiving):
            m.d.sync += passed.eq(0)
        with m.Elif(self.bit_time & ~silent):
            m.d.sync += passed.eq(passed + 1)
        return silent

    def _buffer(self, m, left, storing, replaying):
        """Keep the data's bytes while `storing`, give them as words while `replaying`; `left` counts down in both."""
        m.submodules.buffer = buffer = Memory(shape=8, depth=MOST_WORDS * WORD_BYTES, init=[], attrs=UNCHECKED)
        write, read = buffer.write_port(), buffer.read_port()
        shown = Signal()  # the byte of `left` is at the read port
        word = self.words
        m.d.comb += [
            write.addr.eq(left),
            write.data.eq(self.byte),
            write.en.eq(storing & self.received & (left > WORD_BYTES)),  # the CRC is not kept
            read.addr.eq(left),
        ]
        with m.If(~replaying):
            m.d.sync += [word.valid.eq(0), shown.eq(0)]
        with m.Elif(~word.valid):
            m.d.sync += shown.eq(~shown)
            with m.If(shown):
                m.d.sync += [
                    word.payload.eq(Cat(word.payload[8:], read.data)),
                    left.eq(left - 1),
                    # A word's first byte has a multiple of four bytes before the end.
                    word.valid.eq(left % WORD_BYTES == 1),
                ]
        with m.Elif(word.ready):
            m.d.sync += word.valid.eq(0)
