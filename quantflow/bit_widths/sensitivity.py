"""What another width of one layer's weights, or of one map, does to the network's output: a table to predict from."""

from dataclasses import dataclass, replace

from quantflow.bit_widths.trials import finite_number
from quantflow.bit_widths.widths import Widths


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Noise at the network's output, relative to the output's power, and how each width changes it.

    The prediction for other widths is `noise` plus the sum of what each slot adds.
    """

    widths: Widths  # that it was measured around
    noise: float
    added: dict  # slot to {bits: noise added}, 0 at its own width, never less for fewer bits

    def predict(self, widths):
        """The noise that the widths would have if all slots acted independently."""
        return self.noise + sum(added[widths[slot]] for slot, added in self.added.items())

    def around(self, widths, noise):
        """The same differences, as seen from other widths, at which the noise is known."""
        added = {
            slot: {bits: value - values[widths[slot]] for bits, value in values.items()}
            for slot, values in self.added.items()
        }
        return Sensitivity(widths=widths, noise=noise, added=added)

    def updated(self, other):
        """With the slots of `other`, which was measured around the same widths, in place of its own."""
        return replace(self, added={**self.added, **other.added})

    def to_json(self):
        """A row for each slot: what is added to the noise-to-signal ratio `noise` at each width."""
        rows = [
            {"kind": kind, "name": name, "added": {str(bits): float(value) for bits, value in added.items()}}
            for (kind, name), added in self.added.items()
        ]
        return {**self.widths.to_json(), "output_noise": self.noise, "slots": rows}

    @classmethod
    def known(cls, space, slots, widths, entry):
        """The Sensitivity of these slots from what was kept of it (`to_json`); None where that is no such thing."""
        try:
            rows = {(row["kind"], row["name"]): row["added"] for row in entry["slots"]}
            noise = entry["output_noise"]
            added = {
                slot: {bits: rows[slot][str(bits)] for bits in space.candidates[slot] if str(bits) in rows[slot]}
                for slot in slots
            }
        except (KeyError, TypeError):
            return None
        numbers = [noise, *(value for values in added.values() for value in values.values())]
        whole = all(widths[slot] in values for slot, values in added.items())
        return cls(widths=widths, noise=noise, added=added) if whole and all(map(finite_number, numbers)) else None
