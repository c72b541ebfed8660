"""What a stage's predicted cycles go by, and the bytes that it moves."""

import pytest

from quantflow import isa
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming, estimate
from quantflow.prediction import PROGRAM, SHARES, StagePrediction, most_bytes_per_cycle, predict
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=2, lanes=8)
SLOW = MemoryTiming(bytes_per_cycle=1)


@pytest.fixture(scope="module")
def deployment():
    """A kernel of one step, which waits for the requantizer; one of 25; a fully connected layer with many weights."""
    network = RandomNetwork(1, (8, 14, 14)).convolution(8, (1, 1)).convolution(8, (5, 5), padding=(2, 2, 2, 2))
    return compile_network(network.dense(24, relu=False).finish(), CONFIG)


@pytest.mark.parametrize("program", ["cold", "warm"])
@pytest.mark.parametrize("timing", [MemoryTiming(), SLOW])
def test_shares_are_all_of_the_cycles(deployment, program, timing):
    stages = predict(deployment, timing, program)
    assert tuple(stage.cycles for stage in stages) == estimate(deployment, timing, program).stages
    for stage in stages:
        assert sum(getattr(stage, share) for share in SHARES) == stage.cycles
        assert min(getattr(stage, share) for share in SHARES) >= 0


def test_array_and_drain_are_what_the_instructions_take(deployment):
    for stage, info in zip(predict(deployment, MemoryTiming()), deployment.stages, strict=True):
        held = stage.array + stage.drain - info.array_cycles  # by the results of the instruction before
        assert 0 <= held < 10
    first, second, _ = predict(deployment, MemoryTiming())
    groups = 14 * 7
    assert first.array == groups and first.drain >= (CONFIG.drain_cycles - 1) * groups
    assert second.array == 25 * groups and second.drain < 10


def test_what_bounds_a_stage(deployment):
    assert [stage.bound for stage in predict(deployment, SLOW)] == ["memory", "array", "memory"]
    for share in SHARES:
        counts = dict.fromkeys(SHARES, 10) | {share: 11}
        assert StagePrediction(cycles=41, **counts).bound == share


def test_bytes_moved_are_the_programs(deployment):
    program = deployment.programs["cold"]
    stages = predict(deployment, MemoryTiming())
    fetched = sum(stage.bytes_moved.pop(PROGRAM) for stage in stages)
    assert fetched == program.length * isa.instruction_bits(CONFIG) // 8
    total = {cause: sum(stage.bytes_moved.get(cause, 0) for stage in stages) for cause in program.bytes_moved}
    assert total == program.bytes_moved
    assert "input" in stages[0].bytes_moved and "output" in stages[-1].bytes_moved


def test_what_the_memory_moves_at_most():
    assert most_bytes_per_cycle(CONFIG, MemoryTiming()) == 2 * CONFIG.beat_bytes
    assert most_bytes_per_cycle(CONFIG, MemoryTiming(bytes_per_cycle=6.4)) == 6.4
    assert most_bytes_per_cycle(CONFIG, MemoryTiming(bytes_per_cycle=100)) == 2 * CONFIG.beat_bytes
