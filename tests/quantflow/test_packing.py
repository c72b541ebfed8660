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
    memory = packing.pack_parameters(bias, shift, config)
    assert memory.size == 3 * config.parameter_word_beats * config.port_bytes
    unpacked = packing.unpack_parameters(memory, config)
    np.testing.assert_array_equal(unpacked[0], bias)
    np.testing.assert_array_equal(unpacked[1], shift)


def test_parameter_record_is_bias_then_shift():
    config = Config(pixels=1, lanes=4, port_bits=32, accumulator_bits=16)
    memory = packing.pack_parameters(np.array([[-1, 0, 0, 0]]), np.array([[5, -7, -7, -6]]), config)
    # Records of 16 + 5 bits: the first shift lies as 5 + 7, the last as -6 + 7.
    assert int.from_bytes(memory.tobytes(), "little") == 0xCFFFF | 1 << (3 * 21 + 16)
