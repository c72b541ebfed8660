"""StrideGenerator against the sum of products."""

import cocotb
import numpy as np
import pytest

from hdl.sequencing.stride_generator import StrideGenerator
from sim.bench import run_bench
from tests.hdl.nests import advances
from tests.hdl.pipelines import play, to_port

LEVELS, BITS, STRIDED, WALKS = 5, 7, (1, 3, 4), 40


@cocotb.test(timeout_time=200, timeout_unit="us")
async def sums_follow_the_loops(dut):
    rng = np.random.default_rng(1)
    cycles, expected = [], []
    for _ in range(WALKS):
        strides = rng.integers(0, 1 << BITS, len(STRIDED))
        first = int(rng.integers(0, 1 << BITS))
        walked, indices = advances(
            rng, rng.integers(1, 4, LEVELS).tolist(), {"first": first, "strides": to_port(strides, BITS)}
        )
        cycles += walked
        for now in indices:
            total = now and first + sum(now[level] * int(s) for level, s in zip(STRIDED, strides, strict=True))
            expected.append(total and total % (1 << BITS))
    late = StrideGenerator.latency - 1  # the sum of a step's own cycle comes so much later
    recorded = await play(dut, cycles + [{"start": 0, "advance": 0}] * late, ["value"])
    for outputs, value in zip(recorded[late:], expected, strict=True):
        assert value is None or outputs["value"] == value


def test_stride_generator(tmp_path):
    run_bench(StrideGenerator(LEVELS, BITS, strided=STRIDED), __name__, tmp_path)


@pytest.mark.parametrize("strided", [(1, 0), (0, 0), (0, 5)])
def test_strided_levels_exist_in_order(strided):
    with pytest.raises(ValueError, match="^strided lists levels below 5 in rising order, not "):
        StrideGenerator(5, 4, strided=strided)
