"""Banks of a storage: sizes, and the block RAMs that Yosys makes of them."""

import random

import pytest

from boards.synthesis import cell_counts
from hdl.system.storage import LEAST_WORDS, SOURCES, Storage, bank_sizes
from hdl.verilog import to_verilog


def test_banks_are_powers_of_two_that_hold_the_words_and_no_more():
    rng = random.Random(1)
    for words in [1, 511, 512, 513, 1 << 15, *(rng.randrange(1, 1 << 16) for _ in range(200))]:
        sizes = bank_sizes(words)
        assert 0 <= sum(sizes) - words < LEAST_WORDS
        assert all(size & (size - 1) == 0 for size in sizes) and sizes == sorted(set(sizes), reverse=True)


def test_contents_need_a_file_for_each_bank():
    with pytest.raises(ValueError, match="one file for each of 2 block RAM banks, not 1"):
        Storage(1000 + LEAST_WORDS, 32, files=("one.hex",))


def _cells(words, width, command):
    storage = Storage(words, width)
    source = to_verilog(storage, "storage") + "".join(path.read_text() for path in SOURCES)
    return cell_counts(source, command, "storage")


@pytest.mark.parametrize("words, width", [(13 * LEAST_WORDS - 7, 64), (3 * LEAST_WORDS, 32)])
def test_ecp5_takes_the_block_rams_that_the_bits_demand(words, width):
    cells = _cells(words, width, "synth_ecp5 -noiopad")
    demanded = sum(bank_sizes(words)) * width // (16 << 10)
    assert cells["DP16KD"] == demanded
    # The banks' multiplexer alone: no bank is made of several rows of RAMs.
    assert cells["LUT4"] <= (len(bank_sizes(words)) + 1) * width
