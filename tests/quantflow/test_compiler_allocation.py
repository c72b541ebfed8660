"""Addresses never collide in time and space; the ring overwrites what was given first; layouts are the machine's."""

import numpy as np
import pytest

from quantflow.compiler.allocation import Item, allocate, free_intervals, pack
from quantflow.compiler.layouts import Layout, Placed
from quantflow.compiler.weights import Ring
from quantflow.config import Config


def random_items(seed, count=12):
    random = np.random.default_rng(seed)
    starts = random.integers(0, 10, count)
    return [
        Item(key=n, words=int(random.integers(1, 30)), first=int(start), last=int(start + random.integers(0, 4)))
        for n, start in enumerate(starts)
    ]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("capacity", [None, 120])
def test_items_that_live_together_lie_apart(seed, capacity):
    items = random_items(seed)
    addresses = allocate(items, capacity)
    if addresses is None:
        most = max(sum(item.words for item in items if item.first <= time <= item.last) for time in range(14))
        assert most > capacity // 2  # first fit may lose room, not half of it
        return
    assert capacity is None or all(addresses[item.key] + item.words <= capacity for item in items)
    for one in items:
        for other in items:
            if one.key < other.key and one.meets(other):
                low, high = addresses[one.key], addresses[other.key]
                assert low + one.words <= high or high + other.words <= low


@pytest.mark.parametrize("seed", range(5))
def test_buffers_are_packed_into_free_intervals(seed):
    random = np.random.default_rng(seed)
    starts = np.sort(random.integers(0, 90, 4))
    taken = [(int(start), int(start + random.integers(1, 9))) for start in starts]
    free = np.ones(100, bool)
    for low, high in taken:
        free[low:high] = False
    holes = free_intervals(taken, 100)
    assert sum(high - low for low, high in holes) == free.sum()
    sizes = [int(size) for size in random.integers(1, 12, 4)]
    addresses = pack(sizes, holes)
    for address, size in zip(addresses, sizes, strict=True):
        assert free[address : address + size].all()
        free[address : address + size] = False
    assert pack([101], holes) is None


def test_the_ring_keeps_what_it_can():
    ring = Ring(10)
    assert ring.request("a", 4) == (0, True)
    assert ring.request("b", 5) == (4, True)
    assert ring.request("a", 4) == (0, False)
    assert ring.request("c", 3) == (0, True)  # one word is left at the end: it wraps, over a
    assert ring.request("b", 5) == (4, False)
    assert ring.request("a", 4) == (3, True)  # over b
    assert ring.request("b", 5)[1]


@pytest.mark.parametrize("block_major", [False, True])
@pytest.mark.parametrize("phases", [1, 2, 3])
def test_every_word_of_a_layout_has_a_place_of_its_own(phases, block_major):
    layout = Layout(blocks=2, height=3, width=11, phases=phases, pixels=4, block_major=block_major)
    places = {
        (layout.column(x)[0], row * layout.row_stride + block * layout.block_stride + layout.column(x)[1])
        for row in range(3) for block in range(2) for x in range(11)
    }  # fmt: skip
    assert len(places) == 3 * 2 * 11
    assert max(address for _, address in places) < layout.words
    part = Placed(layout=layout.part(rows=2, block_count=1), address=50, first_row=1, first_block=1)
    low, high = part.interval(1, 2, 1, 1)
    assert (low, high - low) == (50, part.layout.words)
    view = part.map(0, 1, Config(pixels=4, lanes=8, activation_depth=64))
    assert view.address == 50 - layout.part(rows=2, block_count=1).row_stride  # the row above, in front of it
