"""Addresses for what lives for a while: first fit over intervals of words and of time."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Item:
    """`words` neighbouring addresses that are needed from time `first` to time `last`, both counted."""

    key: object
    words: int
    first: int
    last: int

    def meets(self, other):
        """Whether both live at some time."""
        return self.first <= other.last and other.first <= self.last


def allocate(items, capacity=None):
    """Addresses by key, or None where no order tried fits the items below `capacity`."""
    orders = (
        lambda item: (item.first, -item.words),
        lambda item: (-item.words, item.first),
        lambda item: (item.first - item.last, item.first),
    )
    for order in orders:
        for ends in (False, True):
            if ends and capacity is None:
                continue
            found = _first_fit(sorted(items, key=order), capacity, ends)
            if found is not None:
                return found
    return None


def _first_fit(items, capacity, ends):
    """Items one after the other at the lowest address that is free; every other one at the highest if `ends`."""
    placed = []
    for number, item in enumerate(items):
        taken = [(address, address + other.words) for other, address in placed if other.meets(item)]
        holes = free_intervals(taken, capacity)
        fitting = [(low, high) for low, high in holes if high is None or high - low >= item.words]
        if not fitting:
            return None
        placed.append((item, fitting[-1][1] - item.words if ends and number % 2 else fitting[0][0]))
    return {item.key: address for item, address in placed}


def free_intervals(taken, capacity):
    """[low, high) between the intervals taken, below `capacity`; the last one has no end where there is none."""
    holes, low = [], 0
    for start, end in sorted(taken):
        if start > low:
            holes.append((low, start))
        low = max(low, end)
    if capacity is None or low < capacity:
        holes.append((low, capacity))
    return holes


def pack(sizes, holes):
    """Addresses of buffers of these sizes in free intervals, largest first; None where they do not fit."""
    holes, addresses = list(holes), [None] * len(sizes)
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        fitting = [n for n, (low, high) in enumerate(holes) if high - low >= sizes[index]]
        if not fitting:
            return None
        best = min(fitting, key=lambda n: holes[n][1] - holes[n][0])
        low, high = holes[best]
        addresses[index], holes[best] = low, (low + sizes[index], high)
    return addresses
