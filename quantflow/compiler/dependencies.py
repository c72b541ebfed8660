"""Which instructions wait for which: from the words that each reads and writes to tokens.

Units perform their own instructions in order. An instruction waits for the latest one of another unit that
it conflicts with (one of the two writes what the other reads or writes), unless what its unit has waited for
before covers that, directly or through a third unit. A unit's waits for another name later and later
instructions, so the tokens between the two, first in first out, are paired in order.
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from quantflow.isa import Unit


class Space(Enum):
    """On-chip memories; memory itself is named by its isa.Region."""

    ACTIVATION = auto()
    WEIGHT = auto()
    PARAMETER = auto()


@dataclass(frozen=True)
class Access:
    """[low, high) of the words, or bytes, of a space."""

    space: object  # Space or Region
    low: int
    high: int

    def meets(self, other):
        return self.space == other.space and self.low < other.high and other.low < self.high


@dataclass(kw_only=True, eq=False)
class Entry:
    """An instruction on its way into the program."""

    type: type  # of isa.Load, isa.Compute and isa.Store
    fields: dict
    stage: int  # the stage that it serves
    label: str
    cause: str  # what it moves, for the count of bytes; "" for computing
    reads: list
    writes: list
    cycles: int  # that it takes, about
    array_cycles: int = 0  # in which the array works on it
    wait: int = 0
    signal: int = 0
    after: dict = field(default_factory=dict)  # the instructions waited for, by unit

    @property
    def unit(self):
        return Unit[self.type.__name__.upper()]

    def instruction(self):
        return self.type(wait=self.wait, signal=self.signal, **self.fields)

    def conflicts(self, other):
        """Whether the two must not be performed in the other order."""
        return _meet(self.writes, other.reads) or _meet(self.writes, other.writes) or _meet(self.reads, other.writes)


def _meet(some, others):
    return any(a.meets(b) for a in some for b in others)


def add_tokens(entries):
    """Set `wait`, `signal` and `after` of entries in a valid sequential order."""
    units = {unit: [] for unit in Unit}
    clocks = {unit: [] for unit in Unit}  # of each instruction: what is finished when it is, by unit
    known = {unit: dict.fromkeys(Unit, -1) for unit in Unit}
    for entry in entries:
        unit = entry.unit
        found = {other: _latest_conflict(entry, units[other], known[unit][other]) for other in Unit if other != unit}
        found = {other: index for other, index in found.items() if index is not None}
        for other, index in found.items():
            if any(clocks[third][found[third]][other] >= index for third in found if third != other):
                continue  # the other one waited for has waited for this one
            entry.wait |= 1 << other
            sender = units[other][index]
            sender.signal |= 1 << unit
            entry.after[other] = sender
            for third in Unit:
                known[unit][third] = max(known[unit][third], clocks[other][index][third])
        units[unit].append(entry)
        known[unit][unit] = len(units[unit]) - 1
        clocks[unit].append(dict(known[unit]))


def _latest_conflict(entry, others, synchronised):
    """Index of the latest of another unit's instructions that conflicts, behind those waited for; or None."""
    for index in range(len(others) - 1, synchronised, -1):
        if entry.conflicts(others[index]):
            return index
    return None
