"""JSON objects whose entries are read with their type and range checked; nothing is passed over."""

import math

from quantflow.arithmetic import MAX_BITS, MIN_BITS, Format
from quantflow.errors import UserError

MAX_FL = 1 << 10  # beyond any fractional length that float32 numbers lead to
MAX_SIZE = 1 << 24  # beyond any size of a map or window
MAX_NUMBER = (2 - 2.0**-23) * 2.0**127  # the largest float32


class Record:
    """One object of `network.json`. Every error is a UserError that names the file, the place and the entry."""

    def __init__(self, entries, where):
        self.entries, self.where = entries, where
        self._known = set()

    def fail(self, rule):
        raise UserError(f"{self.where}: {rule}")

    def finish(self):
        """Refuse an entry that nobody asked for: a misspelt one would otherwise change nothing, silently."""
        for key in self.entries:
            if key not in self._known:
                self.fail(f"there is no entry {shown(key)} here, only {', '.join(sorted(self._known))}")

    def has(self, key):
        self._known.add(key)
        return key in self.entries

    def value(self, key):
        """The entry as JSON gave it."""
        if not self.has(key):
            self.fail(f"{key} is missing")
        return self.entries[key]

    def text(self, key):
        return self._typed(key, str, "a text")

    def flag(self, key):
        return self._typed(key, bool, "true or false")

    def integer(self, key, low=-MAX_SIZE, high=MAX_SIZE):
        return self._in_range(key, self.value(key), low, high)

    def integers(self, key, count, low=0, high=MAX_SIZE):
        """A list of `count` integers in [low, high], as a tuple."""
        values = self._typed(key, list, "a list")
        if len(values) != count:
            self.fail(f"{key} has {count} numbers, not {len(values)}")
        return tuple(self._in_range(key, value, low, high) for value in values)

    def number(self, key):
        """A number that float32 can hold, as a float."""
        return self._as_number(key, self.value(key))

    def numbers(self, key):
        """A list of at least one such number."""
        values = self._typed(key, list, "a list")
        if not values:
            self.fail(f"{key} is empty")
        return [self._as_number(key, value) for value in values]

    def texts(self, key):
        values = self._typed(key, list, "a list")
        if not values or not all(isinstance(value, str) for value in values):
            self.fail(f"{key} is a list of names")
        return tuple(values)

    def record(self, key):
        return Record(self._typed(key, dict, "an object"), f"{self.where}: {key}")

    def records(self, key):
        values = self._typed(key, list, "a list")
        if not all(isinstance(value, dict) for value in values):
            self.fail(f"{key} is a list of objects")
        return [Record(value, f"{self.where}: {key}[{index}]") for index, value in enumerate(values)]

    def format(self):
        """The Format in this record's `bits`, `fl` and `signed`."""
        return Format(
            bits=self.integer("bits", MIN_BITS, MAX_BITS),
            fl=self.integer("fl", -MAX_FL, MAX_FL),
            signed=self.flag("signed"),
        )

    def _as_number(self, key, value):
        if type(value) not in (int, float) or not -MAX_NUMBER <= value <= MAX_NUMBER:
            self.fail(f"{key} is a number within the range of float32, not {shown(value)}")
        return float(value)

    def _typed(self, key, type_, words):
        value = self.value(key)
        if not isinstance(value, type_):
            self.fail(f"{key} is {words}, not {shown(value)}")
        return value

    def _in_range(self, key, value, low, high):
        if type(value) is not int or not low <= value <= high:
            self.fail(f"{key} is a whole number from {low} to {high}, not {shown(value)}")
        return value


def shown(value):
    """A value in a message, cut where it is long."""
    text = repr(value) if not isinstance(value, float) or math.isfinite(value) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def title(name):
    """A layer's name as part of a sentence: as it is, unless that would break the sentence."""
    return name if name.isprintable() and 0 < len(name) <= 60 else shown(name)
