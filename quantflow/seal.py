"""The seal of a program's instructions: bits that tell whether they are what the compiler wrote, and all of it.

The highest bits of each instruction word in memory are, from the top,

    check   CHECK_BITS   remainder of CRC-16/CCITT over all bytes before it, first byte first, from CHECK_START
    last    1            1 in a program's last instruction only

so that the remainder over the whole word is 0. Any one to three wrong bits of an instruction are found, and
of other damage all but one case in 65,536; a program that ends too early or too late is found by `last`.
"""

from binascii import crc_hqx

from quantflow.isa import CHECK_BITS, SEAL_BITS, instruction_bits

CHECK_START = 0xFFFF


def seal(word, config, *, last):
    """The bytes in memory of an encoded instruction."""
    bits = instruction_bits(config)
    content = (word | int(last) << (bits - SEAL_BITS)).to_bytes(bits // 8, "little")[: -CHECK_BITS // 8]
    return content + crc_hqx(content, CHECK_START).to_bytes(CHECK_BITS // 8, "big")


def seal_program(words, config):
    """The bytes in memory of a program's encoded instructions."""
    return b"".join(seal(word, config, last=n == len(words) - 1) for n, word in enumerate(words))


def remainder(data, start=CHECK_START):
    """What is left of bytes: 0 for those of an undamaged instruction."""
    return crc_hqx(data, start)


def is_last(data):
    """Whether the bytes of an instruction say that it is its program's last."""
    return bool(int.from_bytes(data, "little") >> (8 * len(data) - SEAL_BITS) & 1)
