"""Timelines from the testbench's record."""

import pytest

from quantflow.isa import Unit
from sim.timeline import Timeline, UnitSpan, read_timelines
from tests.sim.records import manifest, program, write

PROGRAM = program(("load", 0), ("compute", 0), ("load", 1), ("compute", 1), ("store", 1))
RUN = [
    (110, "l"), (130, "L"), (131, "c"), (160, "L"), (161, "l"), (170, "C"), (190, "C"), (191, "c"), (192, "s"),
    (198, "S"), (198, "s"), (200, "I"),
]  # fmt: skip


def _span(unit, stage, start, end):
    return UnitSpan(unit=unit, stage=stage, start=start, end=end)


def test_two_runs(tmp_path):
    """Cycles count from each run's start, 100 cycles before its interrupt; ticks of the clock are passed over."""
    later = [(cycle + 300, event) for cycle, event in RUN]
    write(tmp_path / "trace.txt", (0, "T"), *RUN, (256, "T"), *later)
    results = [{"cycles": 100}, {"cycles": 100}]
    first, second = read_timelines(tmp_path / "trace.txt", ["cold"] * 2, results, manifest(cold=PROGRAM))
    assert first == second and first.cycles == 100
    assert first.stage_cycles == (70, 30), "the last stage ends with the run"
    assert first.spans == (
        _span(Unit.LOAD, 0, 10, 30),
        _span(Unit.LOAD, 1, 30, 60),
        _span(Unit.COMPUTE, 0, 31, 70),
        _span(Unit.COMPUTE, 1, 70, 90),
        _span(Unit.STORE, 1, 92, 98),
    )


def test_a_run_that_is_not_recorded(tmp_path):
    write(tmp_path / "trace.txt", *RUN)
    with pytest.raises(RuntimeError, match="records 1 of 2 runs"):
        read_timelines(tmp_path / "trace.txt", ["cold"] * 2, [{"cycles": 100}] * 2, manifest(cold=PROGRAM))


def test_neighbouring_spans_are_one():
    """Those of one unit and stage, with less between them than a thousandth of the run."""
    spans = [
        _span(Unit.LOAD, 0, 0, 2_000),
        _span(Unit.COMPUTE, 0, 900, 1_500),
        _span(Unit.LOAD, 0, 2_009, 3_000),
        _span(Unit.LOAD, 0, 3_011, 4_000),
        _span(Unit.LOAD, 1, 4_000, 5_000),
        _span(Unit.COMPUTE, 0, 1_500, 6_000),
    ]
    merged = Timeline(cycles=10_000, stage_cycles=(), spans=tuple(spans)).merged()
    assert merged == [
        _span(Unit.LOAD, 0, 0, 3_000),
        _span(Unit.COMPUTE, 0, 900, 6_000),
        _span(Unit.LOAD, 0, 3_011, 4_000),
        _span(Unit.LOAD, 1, 4_000, 5_000),
    ]
