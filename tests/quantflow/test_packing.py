"""Words in memory: round trips at every width, and layouts worked by hand."""

import numpy as np
import pytest

from quantflow import packing
from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.config import Config


@pytest.mark.parametrize("width", [2, 4, 8, 16])
def test_words_round_trip(width):
    random = np.random.default_rng(width)
    words = random.integers(-(1 << (width - 1)), 1 << (width - 1), (5, 8))
    memory = packing.pack_words(words, width)
    assert memory.dtype == np.uint8 and memory.size == 5 * width
    np.testing.assert_array_equal(packing.unpack_words(memory, width, 8), words)


def test_first_element_lies_lowest():
    assert packing.pack_words([[1, -1, 0, 7]], 4).tolist() == [0xF1, 0x70]
    assert packing.pack_words([[1, -2]], 16).tolist() == [1, 0, 0xFE, 0xFF]


@pytest.mark.parametrize("lanes, accumulator_bits", [(4, 20), (8, 32), (4, 45)])
def test_parameters_round_trip(lanes, accumulator_bits):
    config = Config(pixels=1, lanes=lanes, port_bits=32, accumulator_bits=accumulator_bits)
    random = np.random.default_rng(1)
    high = 1 << (accumulator_bits - 1)
    bias = random.integers(-high, high, (3, lanes))
    shift = random.integers(-MAX_LEFT_SHIFT, accumulator_bits, (3, lanes))
    greatest = random.integers(0, 1 << config.activation_bits, (3, lanes))
    memory = packing.pack_parameters(bias, shift, greatest, config)
    assert memory.size == 3 * config.parameter_word_beats * config.port_bytes
    for unpacked, packed in zip(packing.unpack_parameters(memory, config), (bias, shift, greatest), strict=True):
        np.testing.assert_array_equal(unpacked, packed)


def test_parameter_record_is_bias_shift_greatest():
    config = Config(pixels=1, lanes=4, port_bits=32, accumulator_bits=16)
    bias, shift, greatest = np.array([[-1, 0, 0, 0]]), np.array([[5, -7, -7, -6]]), np.array([[255, 0, 0, 3]])
    memory = packing.pack_parameters(bias, shift, greatest, config)
    # Records of 16 + 5 + 8 bits: the first shift lies as 5 + 7, the last as -6 + 7.
    expected = 0xFFFF | 12 << 16 | 255 << 21 | (1 << 16 | 3 << 21) << (3 * 29)
    assert int.from_bytes(memory.tobytes(), "little") == expected


@pytest.mark.parametrize(
    "pixels, lanes, bits, port_bits", [(3, 2, 8, 32), (7, 4, 8, 64), (2, 4, 4, 128), (2, 4, 16, 32)]
)
def test_bank_rows_round_trip(pixels, lanes, bits, port_bits):
    config = Config(pixels=pixels, lanes=lanes, activation_bits=bits, port_bits=port_bits)
    rows = np.random.default_rng(2).integers(-(1 << (bits - 1)), 1 << (bits - 1), (5, pixels, lanes))
    memory = packing.pack_bank_rows(rows, config)
    assert memory.size == 5 * config.bank_row_beats * config.port_bytes
    np.testing.assert_array_equal(packing.unpack_bank_rows(memory, config), rows)
    with pytest.raises(ValueError, match="are not whole rows of"):
        packing.unpack_bank_rows(memory[:-1], config)


def test_a_row_is_padded_to_whole_beats():
    config = Config(pixels=3, lanes=2, port_bits=32)
    rows = np.arange(12).reshape(2, 3, 2)
    assert packing.pack_bank_rows(rows, config).tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 6, 7, 8, 9, 10, 11, 0, 0]
