"""The order in which a program's instructions are fetched.

Dispatch is in order and queues are short: an instruction that stands behind others which wait for long is
late, one that stands far ahead of its time takes a place in its queue. So instructions stand in the order in
which they would begin if queues had no end. Whatever one waits for begins before it, so that the order is
a sequential one, and no queue can block another for good.
"""

from quantflow.isa import Unit


def in_order_of_start(entries):
    """Entries, given in a valid sequential order with their tokens, sorted by when they would begin."""
    free, ends, keys = dict.fromkeys(Unit, 0), {}, []
    for number, entry in enumerate(entries):
        start = max([free[entry.unit], *(ends[id(other)] for other in entry.after.values())])
        ends[id(entry)] = free[entry.unit] = start + max(entry.cycles, 1)
        keys.append((start, number))
    return [entries[number] for _, number in sorted(keys)]
