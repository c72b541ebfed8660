"""The frames' CRC, bit by bit."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import bits_for

from hdl.system.frames import BYTE_BITS, WORD_BITS, crc_signature

POLYNOMIAL = 0xEDB8_8320  # of Ethernet, its lowest bit for the highest power
ALL_ONES = (1 << WORD_BITS) - 1


def _next(state, bit):
    """The state after a bit of data."""
    return (state >> 1) ^ Mux(state[0] ^ bit, POLYNOMIAL, 0)


def _residue():
    """The state behind any data that its own CRC follows.

    The state's own bits as data would leave zeros; the CRC is their complement, so it leaves what ones make of zeros.
    """
    state = 0
    for _ in range(WORD_BITS):
        state = (state >> 1) ^ (0 if state & 1 else POLYNOMIAL)
    return state


class SerialCrc(wiring.Component):
    """CRC-32 of Ethernet over the bytes since `start`, in BYTE_BITS cycles for each.

        byte = complement of the state's lowest 8 bits, which is what a frame ends with; match_detected: the last
        four bytes were those of the CRC of all before

    A byte is taken with `valid` and `ready`; `byte` and `match_detected` mean something while `ready`. A byte of data
    that is the complement of `byte` moves the CRC's next one there.

    Ports: as of crc_signature, seen from the other side.
    """

    def __init__(self):
        super().__init__({"user": In(crc_signature())})

    def elaborate(self, platform):
        m = Module()
        user = self.user
        state, data, left = Signal(WORD_BITS), Signal(BYTE_BITS), Signal(bits_for(BYTE_BITS))
        m.d.comb += [
            user.ready.eq(left == 0),
            user.byte.eq(~state[:BYTE_BITS]),
            user.match_detected.eq(state == _residue()),
        ]
        with m.If(user.start):
            m.d.sync += [state.eq(ALL_ONES), left.eq(0)]
        with m.Elif(~user.ready):
            m.d.sync += [state.eq(_next(state, data[0])), data.eq(data >> 1), left.eq(left - 1)]
        with m.Elif(user.valid):
            m.d.sync += [data.eq(user.data), left.eq(BYTE_BITS)]
        return m
