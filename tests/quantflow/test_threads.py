"""Work on several threads gives what one gives, in order, with BLAS on one thread meanwhile."""

import threading

import numpy as np
import pytest

from quantflow import float_engine, integer_engine, threads
from quantflow.threads import each, in_order, thread_count
from tests.quantflow.networks import every_kind, with_floats


@pytest.fixture
def two_threads(monkeypatch):
    counts = iter([2])
    monkeypatch.setattr(threads, "thread_count", lambda: next(counts, 1))


def test_two_items_run_at_the_same_time_and_come_in_order(two_threads):
    met = threading.Barrier(2, timeout=10)

    def meet(item):
        met.wait()
        return item, threading.get_ident()

    (first, one), (second, other) = each(meet, "ab")
    assert (first, second) == ("a", "b") and one != other


def test_results_come_in_order_while_few_wait(two_threads):
    """Items are taken as results are: what waits is no more than the threads compute."""
    taken, met = [], threading.Barrier(2, timeout=10)

    def items():
        for item in range(6):
            taken.append(item)
            yield item

    def meet(item):
        met.wait()
        return item

    found = []
    for result in in_order(meet, items()):
        found.append(result)
        assert len(taken) <= len(found) + 2
    assert found == taken == list(range(6))


def test_an_exception_comes_out_in_order(two_threads):
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        list(in_order(fail, range(4)))


def test_one_thread_is_the_caller(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    assert list(in_order(lambda _: threading.get_ident(), range(3))) == [threading.get_ident()] * 3
    assert each(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3
    assert each(lambda item: item, []) == []


def test_blas_has_one_thread_within_and_its_own_count_behind(two_threads):
    before = thread_count()
    assert each(lambda _: thread_count(), range(3)) == [1, 1, 1]
    assert thread_count() == before


def test_small_matrices_are_multiplied_by_one_thread():
    before = thread_count()
    with threads.small_matrices():
        assert thread_count() == 1
    assert thread_count() == before


def test_an_exception_comes_out(two_threads):
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        each(fail, range(4))


def test_engines_give_the_same_on_several_threads(monkeypatch):
    builder = every_kind(3)
    quantized = with_floats(builder.finish())
    images = np.random.default_rng(3).normal(size=(9, *quantized.network.input_shape)).astype(np.float32)
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    integers, floats = integer_engine.run(quantized, images), float_engine.run(quantized.network, images, batch=2)
    monkeypatch.setattr(integer_engine, "BATCH_BYTES", 1)
    monkeypatch.setattr(threads, "thread_count", lambda: 4)
    found = integer_engine.run(quantized, images)
    assert all(np.array_equal(integers[name], found[name]) for name in integers)
    np.testing.assert_array_equal(float_engine.run(quantized.network, images, batch=2), floats)
