"""WriteSequencer against the loop nest of isa.Compute: where each drain cycle's words belong."""

import itertools
import os

import cocotb
import numpy as np
import pytest

from hdl.sequencing.write_sequencer import WriteSequencer, result_layout
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import play
from tests.hdl.random_compute import DEPTHS, RandomCompute

CONFIGS = {
    "P=5, R=2": Config(pixels=5, lanes=2, requantizers=2, port_bits=32, **DEPTHS),
    "one phase": Config(pixels=1, lanes=2, port_bits=32, phase_bits=0, residuals=False, **DEPTHS),
}
CONFIG = CONFIGS[os.environ.get("CONFIG", "P=5, R=2")]
INSTRUCTIONS = 40


def column_of(position, phases):
    return position.phase + phases * (position.bank + CONFIG.pixels * position.group)


def results(i):
    """What each drain cycle's result says, in order, and its parameter address."""
    loops = (i.output_blocks, i.output_rows, i.output_groups, i.window_rows, i.window_columns)
    phases = i.destination.phases
    for ob, oy, og, wy, wx in itertools.product(*map(range, loops)):
        for k in range(CONFIG.drain_cycles):
            address = i.destination.address + ob * i.destination.block_stride + oy * i.destination.row_stride
            column = column_of(i.first_written, phases) + og * column_of(i.group_step, phases)
            yield {
                "first": wy == wx == 0,
                "last": wy == i.window_rows - 1 and wx == i.window_columns - 1,
                "slot": k,
                "row_address": address % (1 << CONFIG.activation_address_bits),
                "column": column + k * column_of(i.pixel_step, phases),
                "columns_left": i.output_columns - og * CONFIG.pixels - k,
                "parameter_address": i.parameter_address + ob,
            }


def seen(recorded, cycle, phases):
    """The outputs about the words of `cycle`, in the terms of `results`."""
    result = result_layout(CONFIG).from_bits(recorded[cycle + WriteSequencer.latency]["result"])
    assert result.valid and result.position.phase < phases and result.position.bank < CONFIG.pixels
    fields = {name: result[name] for name in ("first", "last", "slot", "row_address", "columns_left")}
    parameter_address = recorded[cycle - 1]["parameter_address"]
    return fields | {"column": column_of(result.position, phases), "parameter_address": parameter_address}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words_follow_the_loops(dut):
    rng = np.random.default_rng(1)
    random = RandomCompute(CONFIG, rng)
    cycles, expected = [], []
    for number in range(INSTRUCTIONS):
        instruction = random.make(wide=number % 2 == 0)
        cycles.append({"start": 1, "valid": 0, "instruction": isa.encode(instruction, CONFIG)})
        cycles += [{"start": 0}] * (WriteSequencer.lead - 1)
        for words in results(instruction):
            # A group's words come one behind the other, groups at any distance.
            while words["slot"] == 0 and rng.random() < 0.3:
                cycles.append({"valid": 0})
            expected.append((len(cycles), instruction.destination.phases, words))
            cycles.append({"valid": 1})
        cycles += [{"valid": 0}] * int(rng.integers(1, 4))
    recorded = await play(dut, cycles, ["result", "parameter_address"])
    for cycle, phases, words in expected:
        assert seen(recorded, cycle, phases) == words


@pytest.mark.parametrize("name", CONFIGS)
def test_write_sequencer(name, tmp_path):
    run_bench(WriteSequencer(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
