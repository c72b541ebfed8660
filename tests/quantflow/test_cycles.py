"""The cycle model's constants are the gateware's; whole programs are compared with the RTL in tests/sim."""

from dataclasses import replace

import pytest

from hdl.compute.compute_unit import ComputeUnit
from hdl.instructions.fetch import PREFETCH
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming, estimate, overlapping
from quantflow.cycles.array import Pipeline
from quantflow.isa import Unit
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=2, lanes=8)
MACHINES = [(1, 8, 1), (2, 4, 1), (5, 2, 3), (7, 8, 2), (8, 16, 8), (4, 16, 1)]


@pytest.mark.parametrize("products", [1, 2])
@pytest.mark.parametrize("pixels, lanes, requantizers", MACHINES)
def test_pipeline_is_the_compute_units(pixels, lanes, requantizers, products):
    config = Config(pixels=pixels, lanes=lanes, requantizers=requantizers, products_per_dsp=products)
    unit = ComputeUnit(config)
    measured = {name: getattr(unit, f"{name}_cycles") for name in vars(Pipeline.of(config))}
    assert vars(Pipeline.of(config)) == measured


def test_prefetch_is_the_fetch_units():
    assert overlapping.PREFETCH == PREFETCH


@pytest.fixture(scope="module")
def deployment():
    network = RandomNetwork(1, (1, 28, 28)).convolution(6, (5, 5), padding=(2, 2, 2, 2)).pool((2, 2))
    return compile_network(network.dense(10, relu=False).finish(), CONFIG)


def test_stages_add_up_to_the_run(deployment):
    result = estimate(deployment, MemoryTiming())
    assert len(result.stages) == len(result.idle) == len(deployment.stages)
    assert sum(result.stages) == result.cycles


@pytest.mark.parametrize("timing", [MemoryTiming(), MemoryTiming(latency=100), MemoryTiming(bytes_per_cycle=2)])
def test_never_faster_than_array_or_port(deployment, timing):
    array = sum(stage.array_cycles for stage in deployment.stages)
    beats = sum(getattr(word, "beats", 0) for word in deployment.programs["cold"].instructions)
    cold = estimate(deployment, timing, "cold").cycles
    warm = estimate(deployment, timing, "warm").cycles
    assert cold > max(array, beats * timing.cycles_per_beat(CONFIG))
    assert array < warm <= cold


def test_idle_cycles_and_array_cycles_are_the_run(deployment):
    result = estimate(deployment, MemoryTiming())
    array = sum(stage.array_cycles for stage in deployment.stages)
    idle = sum(sum(reasons.values()) for reasons in result.idle)
    assert 0 <= result.cycles - array - idle < 120  # what is left is the way of the last results to memory


def test_units_work_on_one_instruction_at_a_time_unless_they_may_overlap(deployment):
    spans = estimate(deployment, MemoryTiming()).spans
    assert len(spans) == deployment.programs["cold"].length
    stores = [span for span in spans if span.unit == Unit.STORE]
    assert all(before.end <= after.start for before, after in zip(stores, stores[1:], strict=False))


def test_slower_memory_shares_its_bytes(deployment):
    slow = estimate(deployment, MemoryTiming(bytes_per_cycle=1)).cycles
    moved = sum(deployment.programs["cold"].bytes_moved.values())
    assert slow > moved
    assert slow > 1.5 * estimate(deployment, replace(MemoryTiming(), bytes_per_cycle=2)).cycles
