"""How far a simulation is, read from a record that grows."""

import time

import pytest

from sim.progress import POLL_SECONDS, Record, reported
from tests.sim.records import program, write

COLD = program(("load", 0), ("compute", 0), ("compute", 1), cycles=(100, 50))
WARM = program(("compute", 0), ("compute", 1), cycles=(60, 20))


def _record(path):
    return Record(path, [COLD, WARM], ["conv1", "fc2"])


def test_a_record_that_grows(tmp_path):
    """Cycles, cycles in all and the layer under way; a line may be there in part."""
    path = tmp_path / "trace.txt"
    record = _record(path)
    steps = [
        ("", (0, 230, "image 1 of 2, conv1")),
        ("0 T\n40 L\n64 ", (40, 230, "image 1 of 2, conv1")),
        ("T\n90 C\n", (90, 230, "image 1 of 2, fc2")),
        ("150 C\n151 c\n170 I\n", (170, 250, "image 2 of 2, conv1")),
        ("256 T\n", (256, 256, "image 2 of 2, conv1")),  # slower than predicted
        ("270 C\n280 C\n290 I\n", (290, 290, "comparing")),
    ]
    for text, expected in steps:
        if text:
            with path.open("a") as file:
                file.write(text)
        record.read()
        assert (record.cycle, record.total, record.text) == expected


def test_reports_while_it_runs_and_at_the_end(tmp_path):
    path, calls = tmp_path / "trace.txt", []
    with reported(_record(path), lambda *call: calls.append(call)):
        write(path, (0, "T"), (90, "C"))
        time.sleep(3 * POLL_SECONDS)
        write(path, (150, "C"), (170, "I"), (200, "C"), (210, "C"), (220, "I"))
    assert calls[0] == (0, 230, "image 1 of 2, conv1")
    assert (90, 230, "image 1 of 2, fc2") in calls
    assert calls[-1] == (220, 220, "comparing")


def test_a_simulation_that_fails_ends_the_reports(tmp_path):
    calls = []
    with pytest.raises(SystemExit), reported(_record(tmp_path / "trace.txt"), lambda *call: calls.append(call)):
        raise SystemExit(1)
    before = len(calls)
    time.sleep(2 * POLL_SECONDS)
    assert len(calls) == before


def test_nobody_listens(tmp_path):
    with reported(_record(tmp_path / "trace.txt"), None):
        pass
