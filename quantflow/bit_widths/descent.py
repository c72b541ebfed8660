"""Greedy descent on predictions: no tuning, only sensitivities and costs.

A move gives one slot another of its widths. Downwards the move is taken that adds the least predicted noise for
each unit of cost saved, upwards the one that takes off the most for each unit spent. A slot may jump over
widths that a smaller step would not pay for (3 bits, say, which lie in memory as 4).
"""

import math
from dataclasses import dataclass

from quantflow.bit_widths.sensitivity import Sensitivity


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the descent knows: predicted noise, and costs as (function of Widths, limit or None)."""

    sensitivity: Sensitivity
    costs: list

    def within(self, widths):
        """Whether all limits are kept, by the estimate."""
        return all(limit is None or cost(widths) <= limit for cost, limit in self.costs)

    def predict(self, widths):
        return self.sensitivity.predict(widths)

    def fit(self, widths, held=()):
        """The widths brought within the limits by descent, and what is then left of the limits spent again.

        Slots in `held` are left alone. None where the limits cannot be kept.
        """
        for widths in self.descend(widths, held):
            if self.within(widths):
                return self.fill(widths, held)
        return None

    def descend(self, widths, held=()):
        """Yields `widths`, and then one move further down each time, until nothing is left to save."""
        while widths is not None:
            yield widths
            cost = self._exceeded(widths)
            now = cost(widths)
            moves = [
                ((added - before) / (now - then), lower)
                for added, before, lower in self._moves(widths, held, down=True)
                if (then := cost(lower)) < now
            ]
            widths = min(moves, key=lambda move: move[0])[1] if moves else None

    def fill(self, widths, held=()):
        """The widths raised one by one as far as the limits allow; as they are without limits."""
        if all(limit is None for _, limit in self.costs):
            return widths
        while True:
            moves = [
                ((before - added) / spent if (spent := self._spent(widths, higher)) > 0 else math.inf, higher)
                for added, before, higher in self._moves(widths, held, down=False)
                if added < before and self.within(higher)
            ]
            if not moves:
                return widths
            widths = max(moves, key=lambda move: move[0])[1]

    def neighbours(self, widths):
        """Widths within the limits that differ in one slot and what makes up for it, the best predicted first.

        Each slot is put one candidate up and one down, and held there while the others are fitted.
        """
        found = {}
        for slot, added in self.sensitivity.added.items():
            order = list(added)
            place = order.index(widths[slot])
            for other in order[max(0, place - 1) : place + 2]:
                if other != widths[slot]:
                    fitted = self.fit(widths.changed(slot, other), held=(slot,))
                    if fitted is not None and fitted != widths:
                        found[str(fitted)] = fitted
        return sorted(found.values(), key=self.predict)

    def solve(self, widths):
        """The widths fitted, and exchanged with their neighbours as long as the prediction improves; or None."""
        best = self.fit(widths)
        while best is not None:
            better = next(iter(self.neighbours(best)), None)
            if better is None or self.predict(better) >= self.predict(best):
                return best
            best = better
        return None

    def _moves(self, widths, held, *, down):
        for slot, added in self.sensitivity.added.items():
            if slot in held:
                continue
            for bits, value in added.items():
                if bits < widths[slot] if down else bits > widths[slot]:
                    yield value, added[widths[slot]], widths.changed(slot, bits)

    def _exceeded(self, widths):
        """The cost to be saved: the first whose limit is not kept, else the first."""
        return next((c for c, limit in self.costs if limit is not None and c(widths) > limit), self.costs[0][0])

    def _spent(self, widths, higher):
        """What a move up costs, as a share of the limits."""
        return sum((cost(higher) - cost(widths)) / max(1, limit) for cost, limit in self.costs if limit is not None)
