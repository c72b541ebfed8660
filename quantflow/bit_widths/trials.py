"""Widths that were tuned for and measured, and the file that keeps them from one run to the next."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from quantflow.bit_widths.widths import Widths
from quantflow.errors import UserError

FIGURES = ("parameter_bytes", "cycles", "agreement", "drop", "output_noise")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One choice of widths, tuned, and measured on images that the tuning did not see."""

    widths: Widths
    parameter_bytes: int
    cycles: int | None  # None without a machine, and where the network does not compile for it
    agreement: float
    drop: float  # points lost against float: of top-1 accuracy with labels, else of agreement
    output_noise: float  # sum of squared errors of the network's output over that of its squares

    @property
    def output_sqnr_db(self):
        """The same as a signal-to-noise ratio; None without noise."""
        return -10 * math.log10(self.output_noise) if self.output_noise else None

    def figures(self):
        return {name: getattr(self, name) for name in FIGURES}

    def to_json(self):
        return {**self.widths.to_json(), **self.figures(), "output_sqnr_db": self.output_sqnr_db}

    @classmethod
    def known(cls, widths, entry):
        """The Trial of the widths from what was kept of it; None where that is no such thing."""
        figures = {name: entry.get(name) for name in FIGURES}
        numbers = [value for name, value in figures.items() if name != "cycles" or value is not None]
        return cls(widths=widths, **figures) if all(map(finite_number, numbers)) else None


class Trials:
    """What was measured, by the digest of what it is of, in a file of JSON lines: a later run need not measure it.

    Without a path it is kept in memory only. Lines that are no JSON objects with a key are passed over.
    """

    def __init__(self, path=None):
        self._path = None if path is None else Path(path)
        self._known = {}
        if self._path is not None and self._path.exists():
            for line in self._read().splitlines():
                self._take(line)

    def get(self, key):
        """What is kept under the key, a dict that is empty where there is nothing."""
        return self._known.get(key, {})

    def put(self, key, entry):
        """Keep a dict of what JSON knows."""
        self._known[key] = entry
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **entry}) + "\n")
        except OSError as error:
            raise UserError(f"{self._path} cannot be written: {error.strerror or error}") from None

    def _read(self):
        try:
            return self._path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"{self._path} cannot be read: {error.strerror or error}") from None

    def _take(self, line):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(entry, dict) and isinstance(entry.get("key"), str):
            self._known[entry.pop("key")] = entry


def finite_number(value):
    """Whether something read from JSON is a number, neither infinite nor NaN."""
    return isinstance(value, int | float) and math.isfinite(value)
