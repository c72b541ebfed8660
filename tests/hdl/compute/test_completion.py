"""Completion against the cycles in which instructions ended."""

import cocotb
import numpy as np

from hdl.compute.completion import Completion
from sim.bench import run_bench
from tests.hdl.pipelines import play

DONE, WRITTEN, CYCLES = 9, 6, 600


@cocotb.test(timeout_time=100, timeout_unit="us")
async def instructions_are_done_in_order(dut):
    rng = np.random.default_rng(1)
    cycles = [{"ending": int(rng.random() < 0.15), "partial": int(rng.integers(2))} for _ in range(CYCLES)]
    recorded = await play(dut, cycles, ["done", "written"])
    for now, outputs in enumerate(recorded):
        before = range(max(0, now - DONE), now)
        assert outputs["done"] == (now >= DONE and cycles[now - DONE]["ending"])
        drained = [cycle for cycle in before if cycles[cycle]["ending"] and not cycles[cycle]["partial"]]
        assert outputs["written"] == (not drained or now > drained[-1] + WRITTEN)


def test_completion(tmp_path):
    run_bench(Completion(done_cycles=DONE, written_cycles=WRITTEN), __name__, tmp_path)
