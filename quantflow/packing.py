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
        return words.astype(f"<i{width // 8}").view(np.uint8).reshape(-1)
    return np.packbits(to_bits(words, width).astype(np.uint8).reshape(-1), bitorder="little")


def unpack_words(memory, width, elements):
    """Bytes to sign-extended integer words, int32 [n, elements]."""
    memory = np.ascontiguousarray(memory)
    if width in (8, 16):
        return memory.view(f"<i{width // 8}").astype(np.int32).reshape(-1, elements)
    bits = np.unpackbits(memory, bitorder="little").reshape(-1, elements, width)
    return from_bits(bits, signed=True).astype(np.int32)


def parameter_records(bias, shift, config):
    """Bits of bias and shift + MAX_LEFT_SHIFT, least significant first: [...] each to [..., record]."""
    shift = np.asarray(shift) + MAX_LEFT_SHIFT
    return np.concatenate([to_bits(bias, config.accumulator_bits), to_bits(shift, config.shift_bits)], axis=-1)


def pack_parameters(bias, shift, config):
    """Parameter words of bias int64 [n, lanes] and shift [n, lanes] to bytes, padded to beats."""
    records = parameter_records(bias, shift, config)
    words = records.reshape(len(records), -1)
    padding = config.parameter_word_beats * config.port_bits - words.shape[1]
    words = np.pad(words, ((0, 0), (0, padding)))
    return np.packbits(words.astype(np.uint8).reshape(-1), bitorder="little")


def unpack_parameters(memory, config):
    """Bytes of whole parameter words to (bias int64 [n, lanes], shift int64 [n, lanes])."""
    bits = np.unpackbits(memory, bitorder="little")
    words = bits.reshape(-1, config.parameter_word_beats * config.port_bits)
    record = config.accumulator_bits + config.shift_bits
    records = words[:, : config.lanes * record].reshape(-1, config.lanes, record)
    bias = from_bits(records[..., : config.accumulator_bits], signed=True)
    return bias, from_bits(records[..., config.accumulator_bits :], signed=False) - MAX_LEFT_SHIFT
