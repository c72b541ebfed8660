"""What the cycle model says of each stage: its cycles, what they go by, and the bytes that it moves."""

from quantflow import isa
from quantflow.cycles import compute_cycles, compute_steps, estimate
from quantflow.cycles.array import group_count
from quantflow.isa import Opcode
from quantflow.stage_prediction import SHARES, StagePrediction

__all__ = ["PROGRAM", "SHARES", "StagePrediction", "most_bytes_per_cycle", "predict"]

PROGRAM = "program"  # cause of the bytes that fetching instructions moves


def most_bytes_per_cycle(config, timing):
    """What a memory of this MemoryTiming moves in a cycle at most: reads and writes have channels of their own."""
    carried = 2 * config.beat_bytes
    return min(carried, timing.bytes_per_cycle or carried)


def predict(deployment, timing, name="cold"):
    """A StagePrediction for each stage of one of a `Deployment`'s programs on this MemoryTiming.

    Their cycles add up to the run's.
    """
    config, program = deployment.config, deployment.programs[name]
    result = estimate(deployment, timing, name)
    count = len(result.stages)
    array, drain, moved = [0] * count, [idle.get("drain", 0) for idle in result.idle], [{} for _ in range(count)]
    for instruction, stage, cause in zip(program.instructions, program.stages, program.causes, strict=True):
        _count(moved[stage], PROGRAM, isa.instruction_bits(config) // 8)
        if instruction.opcode == Opcode.COMPUTE:
            steps = group_count(instruction) * compute_steps(instruction)
            array[stage] += steps
            drain[stage] += compute_cycles(instruction, config) - steps
        else:
            _count(moved[stage], cause, instruction.beats * config.beat_bytes)
    return tuple(
        _stage(result.stages[n], array[n], drain[n], result.idle[n], moved[n], n == count - 1) for n in range(count)
    )


def _stage(cycles, array, drain, idle, moved, last):
    waiting = cycles - array - drain
    # The pipeline's length falls to the first stage, behind whose beginning it shows, and to the last one's end.
    start = idle.get("start", 0) + idle.get("instruction", 0)
    memory = waiting - start if last else idle.get("load", 0) + idle.get("store", 0)
    memory = max(0, min(memory, waiting))
    return StagePrediction(
        cycles=cycles, array=array, drain=drain, memory=memory, start=waiting - memory, bytes_moved=moved
    )


def _count(counts, key, number):
    counts[key] = counts.get(key, 0) + number
