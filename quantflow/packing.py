"""Words as they lie in memory: arrays of small integers to little-endian bit strings and back.

Memory is a uint8 array; bit n of a word is bit `n % 8` of byte `n // 8`. Used by the compiler,
the emulator and the host, so that the layout is written once.
"""

import numpy as np

from quantflow.accumulation import MAX_LEFT_SHIFT


def to_bits(values, width):
    """The lowest `width` bits of each integer, least significant first: [...] to [..., width]."""
    return (np.asarray(values, dtype=np.int64)[..., None] >> np.arange(width)) & 1


def from_bits(bits, *, signed):
    """Inverse of `to_bits`: [..., width] to int64 [...], sign-extended if `signed`."""
    width = bits.shape[-1]
    place = np.int64(1) << np.arange(width, dtype=np.int64)
    if signed:
        place[-1] = -place[-1]
    return bits.astype(np.int64) @ place


def pack_words(words, width):
    """Integer words [n, elements] of `width` bits each, a power of two, to bytes."""
    words = np.ascontiguousarray(words)
    if width in (8, 16):
        return words.astype(f"<i{width // 8}").view(np.uint8).reshape(-1)  # unsigned ones keep their bits
    return np.packbits(to_bits(words, width).astype(np.uint8).reshape(-1), bitorder="little")


def unpack_words(memory, width, elements):
    """Bytes to sign-extended integer words, int32 [n, elements]."""
    memory = np.ascontiguousarray(memory)
    if width in (8, 16):
        return memory.view(f"<i{width // 8}").astype(np.int32).reshape(-1, elements)
    bits = np.unpackbits(memory, bitorder="little").reshape(-1, elements, width)
    return from_bits(bits, signed=True).astype(np.int32)


def pack_bank_rows(words, config):
    """Rows of the activation banks, integers [n, P, lanes], to bytes, each row padded to whole beats."""
    packed = pack_words(words.reshape(-1, config.lanes), config.activation_container_bits).reshape(len(words), -1)
    return np.pad(packed, ((0, 0), (0, config.bank_row_bytes - packed.shape[1]))).reshape(-1)


def unpack_bank_rows(memory, config):
    """Bytes of whole rows to sign-extended integers, int32 [n, P, lanes]; ValueError where the last one is cut."""
    if memory.size % config.bank_row_bytes:
        raise ValueError(f"{memory.size} bytes are not whole rows of {config.bank_row_bytes}")
    used = config.pixels * config.activation_word_bits // 8
    rows = memory.reshape(-1, config.bank_row_bytes)[:, :used]
    return unpack_words(rows, config.activation_container_bits, config.lanes).reshape(len(rows), -1, config.lanes)


def parameter_records(bias, shift, greatest, config):
    """Bits of bias, shift + MAX_LEFT_SHIFT and greatest result, least first: integers [...] to [..., record]."""
    shift = np.asarray(shift) + MAX_LEFT_SHIFT
    widths = (config.accumulator_bits, config.shift_bits, config.activation_bits)
    parts = zip((bias, shift, greatest), widths, strict=True)
    return np.concatenate([to_bits(values, width) for values, width in parts], axis=-1)


def pack_parameters(bias, shift, greatest, config):
    """Parameter words of integers [n, lanes] each to bytes, padded to beats."""
    records = parameter_records(bias, shift, greatest, config)
    words = records.reshape(len(records), -1)
    padding = config.parameter_word_beats * config.beat_bits - words.shape[1]
    words = np.pad(words, ((0, 0), (0, padding)))
    return np.packbits(words.astype(np.uint8).reshape(-1), bitorder="little")


def unpack_parameters(memory, config):
    """Bytes of whole parameter words to (bias, shift, greatest), int64 [n, lanes] each."""
    bits = np.unpackbits(memory, bitorder="little")
    words = bits.reshape(-1, config.parameter_word_beats * config.beat_bits)
    words = words[:, : config.lanes * config.parameter_record_bits]
    records = words.reshape(-1, config.lanes, config.parameter_record_bits)
    bias, shift, greatest = np.split(
        records, (config.accumulator_bits, config.accumulator_bits + config.shift_bits), axis=-1
    )
    shift = from_bits(shift, signed=False) - MAX_LEFT_SHIFT
    return from_bits(bias, signed=True), shift, from_bits(greatest, signed=False)
