"""The two directions of a serial line: 8 data bits, least significant first, no parity, 1 stop bit."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

BIT_CYCLES_BITS = 16
DATA_BITS = 8
START, LAST, STOP = 0, DATA_BITS, DATA_BITS + 1  # positions in a character


class Receiver(wiring.Component):
    """Samples a character in the middle of its bits.

    `received` pulses with `byte`. Where the stop bit is missing `framing_error` pulses instead, and nothing is
    received until the line has been high. A start bit that is over by its middle is none. While the line rests
    (`receiving` low), `bit_time` pulses once every bit time.

    Ports: line In(1), synchronous to the clock; bit_cycles In(16), at least 4; byte Out(8); received,
    framing_error, receiving, bit_time Out(1).
    """

    def __init__(self):
        super().__init__({
            "line": In(1),
            "bit_cycles": In(BIT_CYCLES_BITS),
            "byte": Out(DATA_BITS),
            "received": Out(1),
            "framing_error": Out(1),
            "receiving": Out(1),
            "bit_time": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        left, position, broken = Signal(BIT_CYCLES_BITS, init=1), Signal(range(STOP + 1)), Signal()
        over = left == 1
        m.d.sync += left.eq(Mux(over, self.bit_cycles, left - 1))
        with m.If(broken):
            m.d.sync += broken.eq(~self.line)
        with m.Elif(~self.receiving):
            m.d.comb += self.bit_time.eq(over)
            with m.If(~self.line):
                m.d.sync += [left.eq(self.bit_cycles >> 1), position.eq(START)]
        with m.Elif(over):
            m.d.sync += position.eq(position + 1)
            with m.If(position != STOP):
                m.d.sync += self.byte.eq(Cat(self.byte[1:], self.line))
            with m.Else():
                m.d.comb += [self.received.eq(self.line), self.framing_error.eq(~self.line)]
                m.d.sync += broken.eq(~self.line)
        self._activity(m, over, position, broken)
        return m

    def _activity(self, m, over, position, broken):
        active = Signal()
        m.d.comb += self.receiving.eq(active | broken)
        with m.If(~self.receiving & ~self.line):
            m.d.sync += active.eq(1)
        with m.Elif(over & ((position == STOP) | ((position == START) & self.line))):
            m.d.sync += active.eq(0)


class Transmitter(wiring.Component):
    """Sends a character for each byte of its stream; the line rests high.

    Ports: bytes In(stream of 8 bits); bit_cycles In(16), at least 1; line Out(1).
    """

    def __init__(self):
        super().__init__({
            "bytes": In(stream.Signature(DATA_BITS)),
            "bit_cycles": In(BIT_CYCLES_BITS),
            "line": Out(1, init=1),
        })

    def elaborate(self, platform):
        m = Module()
        left, position = Signal(BIT_CYCLES_BITS), Signal(range(STOP + 1))
        bits, sending = Signal(DATA_BITS + 1), Signal()  # what follows the start bit
        m.d.comb += self.bytes.ready.eq(~sending)
        with m.If(~sending):
            with m.If(self.bytes.valid):
                m.d.sync += [sending.eq(1), self.line.eq(0), bits.eq(Cat(self.bytes.payload, 1))]
                m.d.sync += [left.eq(self.bit_cycles), position.eq(START)]
        with m.Elif(left != 1):
            m.d.sync += left.eq(left - 1)
        with m.Else():
            m.d.sync += [left.eq(self.bit_cycles), position.eq(position + 1), Cat(self.line, bits).eq(Cat(bits, 1))]
            m.d.sync += sending.eq(position != STOP)
        return m
