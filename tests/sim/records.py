"""A program's record as the testbench would write it, for tests of those who read it."""

from types import SimpleNamespace

from quantflow.manifest import InstructionRecord, ProgramRecord
from quantflow.prediction import StagePrediction


def program(*instructions, cycles=(100, 100)):
    """A ProgramRecord of (unit, stage) pairs, predicted to take so many cycles in each stage."""
    parts = {"array": 0, "drain": 0, "memory": 0, "start": 0}
    return ProgramRecord(
        offset=0,
        predicted=tuple(StagePrediction(cycles=count, **parts) for count in cycles),
        instructions=tuple(
            InstructionRecord(unit=unit, stage=stage, text="", label="") for unit, stage in instructions
        ),
    )


def manifest(**programs):
    """As much of a Manifest of two stages as readers of records need."""
    return SimpleNamespace(programs=programs, stages=[SimpleNamespace(name=name) for name in ("conv1", "fc2")])


def write(path, *events):
    """Append events, pairs of a cycle and a letter."""
    with path.open("a") as file:
        file.writelines(f"{cycle} {event}\n" for cycle, event in events)
