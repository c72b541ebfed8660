"""Fair timing: by turns, medians of ratios within a turn."""

import os
import subprocess
import sys

from benchmarks.timing import THREAD_LIMITS, by_turns, median_ratio


def test_subjects_take_turns_after_one_untimed_call_each():
    called = []
    seconds = by_turns({name: lambda name=name: called.append(name) for name in "ab"}, repeats=3)
    assert called == ["a", "b"] * 4
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}
    assert all(time >= 0 for times in seconds.values() for time in times)


def test_a_ratio_is_the_median_of_those_of_the_turns():
    # 2, 3 and 10: the turn in which the other was disturbed does not count.
    assert median_ratio({"a": [2.0, 6.0, 10.0], "b": [1.0, 2.0, 1.0]}, "a", "b") == 3


def test_cores_and_threads_of_blas_are_limited_alike():
    names = ", ".join(f"os.environ[{name!r}]" for name in THREAD_LIMITS)
    printed = f"use_cores(1), len(os.sched_getaffinity(0)), {names}"
    code = f"import os; from benchmarks.timing import use_cores; print({printed})"
    environment = {name: value for name, value in os.environ.items() if name not in THREAD_LIMITS}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1"] * (2 + len(THREAD_LIMITS))
