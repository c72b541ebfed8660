"""How far a tool is, read from what it prints while it runs."""

import re
import time

SYNTHESIS, PLACEMENT, ROUTING, PACKING = STAGES = ("synthesis", "placement", "routing", "packing")
_PASS = re.compile(r"^\d+(?:\.\d+)*\. Executing ([A-Z0-9_]+)")
_ARCS = re.compile(r"^Info: Routing (\d+) arcs")
_REMAINING = re.compile(r"^Info:\s+\d+ \|\s+\d+\s+\d+ \|\s+\d+\s+\d+ \|\s+(\d+)\|")
_ITERATION = re.compile(r"^Info:\s+(?:at iteration #|iter=)(\d+)")


def ignore(stage, share, what):
    """A report that nobody reads."""


class Stopwatch:
    """Seconds spent in each stage, from the reports of a step; passes them on."""

    def __init__(self, report=ignore):
        self._report, self._stage, self._since = report, None, 0.0
        self.seconds = {}

    def __call__(self, stage, share=None, what=""):
        if stage != self._stage:
            self.stop()
            self._stage, self._since = stage, time.perf_counter()
        self._report(stage, share, what)

    def stop(self):
        """End the stage that runs."""
        if self._stage:
            spent = time.perf_counter() - self._since
            self.seconds[self._stage] = round(self.seconds.get(self._stage, 0) + spent, 1)
        self._stage = None


class SynthesisWatch:
    """Yosys: which of its passes runs."""

    def __init__(self, report):
        self._report = report
        report(SYNTHESIS, None, "")

    def __call__(self, line):
        if match := _PASS.match(line):
            self._report(SYNTHESIS, None, match[1].lower().replace("_", " "))


class RouterWatch:
    """nextpnr: packing of cells and placement first, then routing, whose arcs it counts down."""

    def __init__(self, report):
        self._report, self._stage, self._arcs = report, PLACEMENT, None
        report(PLACEMENT, None, "")

    def __call__(self, line):
        if match := _ARCS.match(line):
            self._stage, self._arcs = ROUTING, int(match[1])
            self._report(ROUTING, 0.0, f"{match[1]} arcs")
        elif self._arcs and (match := _REMAINING.match(line)):
            self._report(ROUTING, 1 - int(match[1]) / self._arcs, f"{match[1]} arcs remain")
        elif self._stage == PLACEMENT and (match := _ITERATION.match(line)):
            self._report(PLACEMENT, None, f"iteration {match[1]}")
