"""ColumnWalker against arithmetic on plain column numbers."""

import os

import cocotb
import numpy as np
import pytest

from hdl.sequencing.column_walker import ColumnWalker
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.nests import advances
from tests.hdl.pipelines import play

CONFIGS = {
    "P=3": Config(pixels=3, lanes=4, port_bits=32),
    "P=1": Config(pixels=1, lanes=4, port_bits=32),
    "one phase": Config(pixels=1, lanes=4, port_bits=32, phase_bits=0),
}
CONFIG = CONFIGS[os.environ.get("CONFIG", "P=3")]
LEVELS, STEPPED, WALKS = 4, (0, 2, 3), 60


def position_word(column, phases, group_bits):
    """The packed isa.Position of a column."""
    unit = column // phases
    group = (unit // CONFIG.pixels) & ((1 << group_bits) - 1)
    return column % phases | (unit % CONFIG.pixels | group << CONFIG.bank_bits) << CONFIG.phase_bits


@cocotb.test(timeout_time=300, timeout_unit="us")
async def positions_follow_the_loops(dut):
    rng = np.random.default_rng(1)
    step_bits = CONFIG.phase_bits + CONFIG.bank_bits + CONFIG.extent_bits
    cycles, expected = [], []
    for _ in range(WALKS):
        phases = int(rng.integers(1, max(2, 1 << CONFIG.phase_bits)))
        first, *steps = (int(n) for n in rng.integers((-20, 0, 0, 0), 20))
        before = {
            "first": position_word(first, phases, CONFIG.extent_bits),
            "steps": sum(
                position_word(step, phases, CONFIG.extent_bits) << index * step_bits for index, step in enumerate(steps)
            ),
        }
        if CONFIG.phase_bits:
            before["highest_phase"] = phases - 1
        walked, indices = advances(rng, rng.integers(1, 4, LEVELS).tolist(), before)
        cycles += walked
        for now in indices:
            column = now and first + sum(now[level] * step for level, step in zip(STEPPED, steps, strict=True))
            expected.append(None if now is None else position_word(column, phases, CONFIG.extent_bits + 2))
    late = ColumnWalker.latency - 1  # the sum of a step's own cycle comes so much later
    recorded = await play(dut, cycles + [{"start": 0, "advance": 0}] * late, ["position"])
    for outputs, word in zip(recorded[late:], expected, strict=True):
        assert word is None or outputs["position"] == word


@pytest.mark.parametrize("name", CONFIGS)
def test_column_walker(name, tmp_path):
    walker = ColumnWalker(CONFIGS[name], LEVELS, stepped=STEPPED)
    run_bench(walker, __name__, tmp_path, environment={"CONFIG": name})


def test_stepped_levels_exist_in_order():
    with pytest.raises(ValueError, match="^stepped lists levels below 4 in rising order, not "):
        ColumnWalker(CONFIG, LEVELS, stepped=(2, 1))
