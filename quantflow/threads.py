"""Independent pieces of work on all cores: numpy lets other threads run while it computes.

BLAS, which would use all cores for one multiplication, gets one for each of these threads meanwhile: maps are cut
into batches whose matrices are too small to be shared. How many threads there are is what BLAS was given, by
OMP_NUM_THREADS say.
"""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def each(function, items):
    """[function(item) for item in items], several at a time; what a function raises is raised here.

    Within `function` further calls take one item after the other.
    """
    items = list(items)
    return [function(item) for item in items] if len(items) < 2 else list(in_order(function, items))


def in_order(function, items):
    """Yield function(item) for each item, in order; several are computed at a time, and few wait to be taken.

    Within `function` further calls take one item after the other.
    """
    threads = thread_count()
    if threads < 2:
        yield from map(function, items)
        return
    pool, waiting = _pool(os.getpid(), threads), deque()
    with small_matrices():
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # nothing of it goes on behind an exception
            for future in waiting:
                future.cancel()
            wait(waiting)


@lru_cache
def _pool(process, threads):
    """Threads take longer to start than some of their work: they are kept, for this process (a fork has none)."""
    return ThreadPoolExecutor(threads)


def small_matrices():
    """A context in which BLAS has one thread: to share a small matrix takes longer than to multiply it."""
    return _blas().limit(limits=1)


def thread_count():
    """How many threads BLAS may use now: 1 within `each`."""
    return max((library["num_threads"] for library in _blas().info()), default=os.cpu_count() or 1)


@lru_cache
def _blas():
    return ThreadpoolController().select(user_api="blas")
