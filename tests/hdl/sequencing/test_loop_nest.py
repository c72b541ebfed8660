"""LoopNest against nested Python loops."""

import cocotb
import numpy as np

from hdl.sequencing.loop_nest import LoopNest
from sim.bench import run_bench
from tests.hdl.nests import mask, walk
from tests.hdl.pipelines import play, to_port

LEVELS, BITS, WALKS = 4, 3, 40


@cocotb.test(timeout_time=200, timeout_unit="us")
async def every_level_counts(dut):
    rng = np.random.default_rng(1)
    cycles, expected = [], []
    for _ in range(WALKS):
        counts = [int(n) for n in rng.integers(1, 5, LEVELS)]
        cycles.append({"start": 1, "step": 0, "highest": to_port(np.array(counts) - 1, BITS)})
        expected.append(None)
        for now, advance in walk(counts):
            marks = {
                "first": mask(index == 0 for index in now),
                "last": mask(index == count - 1 for index, count in zip(now, counts, strict=True)),
            }
            while rng.random() < 0.3:
                cycles.append({"start": 0, "step": 0})
                expected.append(marks | {"advance": 0})
            cycles.append({"start": 0, "step": 1})
            expected.append(marks | {"advance": advance})
    recorded = await play(dut, cycles, ["first", "last", "advance"])
    for outputs, marks in zip(recorded, expected, strict=True):
        assert marks is None or outputs == marks


def test_loop_nest(tmp_path):
    run_bench(LoopNest(LEVELS, BITS), __name__, tmp_path)
