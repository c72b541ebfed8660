"""WeightCounter against the words that isa.Compute names."""

import itertools

import cocotb
import numpy as np

from hdl.sequencing.weight_counter import WeightCounter
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import play

CONFIG = Config(pixels=2, lanes=4, port_bits=32, weight_depth=50)
WALKS = 60


@cocotb.test(timeout_time=300, timeout_unit="us")
async def words_follow_the_steps(dut):
    rng = np.random.default_rng(1)
    cycles, expected = [], []
    for _ in range(WALKS):
        uniform, first = int(rng.integers(2)), int(rng.integers(50))
        blocks, groups, passes, steps = (int(n) for n in rng.integers(1, 4, 4))
        cycles.append({"start": 1, "valid": 0, "first": first, "uniform": uniform})
        expected.append(None)
        for block, group, n, step in itertools.product(*map(range, (blocks, groups, passes, steps))):
            pass_end = step == steps - 1
            last = pass_end and n == passes - 1
            marks = {"pass_end": pass_end, "last": last, "last_of_block": last and group == groups - 1}
            while rng.random() < 0.2:
                cycles.append({"start": 0, "valid": 0})
                expected.append(None)
            cycles.append({"start": 0, "valid": 1} | {name: int(mark) for name, mark in marks.items()})
            word = first + (n if uniform else (block * passes + n) * steps + step)
            expected.append(word % (1 << CONFIG.weight_address_bits))
    recorded = await play(dut, [*cycles, {"valid": 0}], ["address", "error"])
    for word, outputs, following in zip(expected, recorded, recorded[1:], strict=False):
        assert word is None or outputs["address"] == word
        assert following["error"] == (word is not None and word >= CONFIG.weight_depth)
    assert any(outputs["error"] for outputs in recorded)


def test_weight_counter(tmp_path):
    run_bench(WeightCounter(CONFIG), __name__, tmp_path)
