"""Fair timing: the same cores for everything that is compared, and runs by turns.

Other programs' load then falls on all alike, and medians leave out what one run suffered.
"""

import os
import statistics
import sys
import time

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read by numpy's BLAS once, at import


def use_cores(count):
    """Let this process run on `count` of its cores, with as many BLAS threads; without it on all of them.

    It starts the program anew where BLAS has been told otherwise. Returns the number of cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    count = min(count or len(cores), len(cores))
    limits = dict.fromkeys(THREAD_LIMITS, str(count))
    os.sched_setaffinity(0, cores[:count])
    if any(os.environ.get(name) != value for name, value in limits.items()):
        os.execve(sys.executable, sys.orig_argv, os.environ | limits)
    return count


def by_turns(subjects, repeats):
    """Seconds of each call of the functions in the dict `subjects`, `repeats` times A B C A B C: a dict of lists.

    Everything is called once before, untimed.
    """
    seconds = {name: [] for name in subjects}
    for turn in range(-1, repeats):
        for name, subject in subjects.items():
            start = time.perf_counter()
            subject()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_ratio(seconds, name, other):
    """Median of the ratio between the times of `name` and `other` in the same turn."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[other], strict=True))


def load_average():
    """Processes that wanted a core during the last minute, this one among them."""
    return round(os.getloadavg()[0], 2)


def median(seconds):
    """The middle one of several times: one slow turn says nothing."""
    return statistics.median(seconds)
