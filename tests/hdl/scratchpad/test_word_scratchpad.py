"""WordScratchpad against an array: random reads and writes."""

import os

import cocotb
import numpy as np
import pytest

from hdl.scratchpad.word_scratchpad import parameter_scratchpad, weight_scratchpad
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import play

CONFIG = Config(pixels=1, lanes=4, port_bits=32, weight_bits=4, weight_depth=5, parameter_depth=6)
CYCLES = 1000


@cocotb.test(timeout_time=50, timeout_unit="us")
async def reads_see_the_writes_before(dut):
    depth, address_bits = int(os.environ["DEPTH"]), int(os.environ["ADDRESS_BITS"])
    rng = np.random.default_rng(1)
    word_bits = len(dut.read_data)
    words, cycles, expected = [0] * depth, [], [None]
    for _ in range(CYCLES):
        read, write, enable = int(rng.integers(depth)), int(rng.integers(depth)), int(rng.integers(2))
        word = int.from_bytes(rng.bytes(word_bits // 8), "little")
        cycles.append({"read_address": read, "write": enable | write << 1 | word << 1 + address_bits})
        expected.append(words[read])
        if enable:
            words[write] = word
    recorded = await play(dut, cycles, ["read_data"])
    for outputs, word in list(zip(recorded, expected, strict=False))[1:]:
        assert outputs["read_data"] == word


@pytest.mark.parametrize(
    "component, depth, address_bits",
    [
        (weight_scratchpad, CONFIG.weight_depth, CONFIG.weight_address_bits),
        (parameter_scratchpad, CONFIG.parameter_depth, CONFIG.parameter_address_bits),
    ],
)
def test_scratchpad(component, depth, address_bits, tmp_path):
    environment = {"DEPTH": str(depth), "ADDRESS_BITS": str(address_bits)}
    run_bench(component(CONFIG), __name__, tmp_path, environment=environment)
