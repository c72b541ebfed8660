"""The serial link's frames as both directions know them: see docs/serial_link.md."""

from amaranth.lib import data, enum
from amaranth.lib.wiring import In, Out, Signature

WORD_BYTES = 4
BYTE_BITS = 8
WORD_BITS = BYTE_BITS * WORD_BYTES
REQUEST_START, REPLY_START = 0x51, 0xA1
MOST_WORDS = 64
COUNT_BITS = 8
SILENCE_BITS = 32 * 10  # bit times of silence after which a frame may begin again
REGISTERS_BIT = 31  # of an address: registers instead of memory


class Command(enum.Enum, shape=8):
    """What a request asks for."""

    READ = 1
    WRITE = 2


class Status(enum.Enum, shape=8):
    """What a reply says of its request."""

    DONE = 0
    REFUSED = 1


# As it lies in a frame behind the first byte.
REQUEST = data.StructLayout({"sequence": 8, "command": 8, "count": COUNT_BITS, "address": 32})
REPLY = data.StructLayout({"sequence": 8, "status": 8, "count": COUNT_BITS})


def crc_signature():
    """A use of the one CRC, which both directions never need at once: see SerialCrc."""
    return Signature({
        "start": Out(1),
        "data": Out(BYTE_BITS),
        "valid": Out(1),
        "ready": In(1),
        "byte": In(BYTE_BITS),
        "match_detected": In(1),
    })
