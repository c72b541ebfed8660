"""Which part of a simulation's first run is recorded as waves."""

import re
from dataclasses import dataclass

from quantflow.errors import UserError

FOREVER = 1 << 62  # cycles or instructions


@dataclass(frozen=True, kw_only=True)
class Window:
    """Everything, or one layer, or cycles `first` to `last` - 1 from the start of the first image."""

    layer: str | None = None
    first: int = 0
    last: int = FOREVER

    @classmethod
    def of(cls, layer=None, cycles=None):
        """From what the command line says: a layer's name, or "FROM:TO"; UserError for anything else."""
        if cycles is None:
            return cls(layer=layer)
        if layer is not None:
            raise UserError("waves are limited to a layer or to cycles, not to both")
        ends = re.fullmatch(r"(\d+):(\d+)", cycles)
        if ends is None or int(ends[1]) >= int(ends[2]):
            raise UserError(f"a window of cycles is written FROM:TO, such as 1000:2000, not {cycles!r}")
        return cls(first=int(ends[1]), last=int(ends[2]))

    def inputs(self, manifest):
        """What sim/host.py is told; UserError where the build has no such layer.

        A layer's window goes from the retirement of the compute instruction before its first one to that of its
        last one: loads that run ahead of it are not in there.
        """
        if self.layer is None:
            return {"by_compute": 0, "first": self.first, "last": self.last}
        stages = [n for n, stage in enumerate(manifest.stages) if self.layer in (stage.name, *stage.layers)]
        if not stages:
            names = ", ".join(stage.name for stage in manifest.stages)
            raise UserError(f"there is no layer {self.layer} whose waves could be recorded; there are {names}")
        computes = manifest.programs["cold"].of_unit("compute")
        places = [place for place, (_, record) in enumerate(computes) if record.stage in stages]
        return {"by_compute": 1, "first": min(places), "last": max(places) + 1}
