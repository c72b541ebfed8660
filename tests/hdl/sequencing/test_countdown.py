"""Countdown against a number that falls."""

import cocotb
import numpy as np

from hdl.sequencing.countdown import Countdown
from sim.bench import run_bench
from tests.hdl.pipelines import play

LIMIT, CYCLES = 5, 300


@cocotb.test(timeout_time=100, timeout_unit="us")
async def pending_for_so_many_cycles(dut):
    rng = np.random.default_rng(1)
    cycles, expected, left = [], [], 0
    for _ in range(CYCLES):
        load, count = int(rng.random() < 0.25), int(rng.integers(0, LIMIT, endpoint=True))
        cycles.append({"load": load, "cycles": count})
        expected.append(int(left > 0))
        left = count if load else max(0, left - 1)
    recorded = await play(dut, cycles, ["pending"])
    assert [outputs["pending"] for outputs in recorded] == expected


def test_countdown(tmp_path):
    run_bench(Countdown(LIMIT), __name__, tmp_path)
