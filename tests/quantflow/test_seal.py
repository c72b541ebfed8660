"""Seals of instructions: what is damaged, cut or appended to shows."""

import numpy as np
import pytest

from quantflow import isa
from quantflow.config import Config
from quantflow.seal import is_last, remainder, seal, seal_program

CONFIGS = [Config(pixels=1, lanes=4, port_bits=32), Config(pixels=7, lanes=16, port_bits=256)]


@pytest.fixture(params=CONFIGS, ids=["32 bits", "256 bits"])
def config(request):
    return request.param


def random_words(config, random, count):
    content = isa.instruction_bits(config) - isa.SEAL_BITS
    return [int.from_bytes(random.bytes(content // 8), "little") for _ in range(count)]


def test_seal_keeps_the_instruction(config):
    for word in random_words(config, np.random.default_rng(1), 20):
        data = seal(word, config, last=False)
        assert len(data) == isa.instruction_bits(config) // 8
        assert int.from_bytes(data, "little") & ((1 << isa.instruction_bits(config) - isa.SEAL_BITS) - 1) == word
        assert remainder(data) == 0


def test_only_the_last_instruction_is_the_last(config):
    program, size = seal_program(random_words(config, np.random.default_rng(2), 5), config), 0
    size = isa.instruction_bits(config) // 8
    said = [is_last(program[n : n + size]) for n in range(0, len(program), size)]
    assert said == [False] * 4 + [True]


def test_up_to_three_wrong_bits_are_found(config):
    """All single bits, and many pairs and triples."""
    random = np.random.default_rng(3)
    (word,) = random_words(config, random, 1)
    bits = isa.instruction_bits(config)
    data = int.from_bytes(seal(word, config, last=True), "little")
    damages = [1 << n for n in range(bits)]
    damages += [sum(1 << int(n) for n in random.choice(bits, count, replace=False)) for count in (2, 3) * 2000]
    for damage in damages:
        assert remainder((data ^ damage).to_bytes(bits // 8, "little")), f"{damage:#x}"


def test_empty_memory_is_no_instruction(config):
    for value in (0, 0xFF):
        assert remainder(bytes([value]) * (isa.instruction_bits(config) // 8))
