"""How far a tool is, read from what it prints while it runs."""

import re
import time

SYNTHESIS, PLACEMENT, ROUTING, PACKING = STAGES = ("synthesis", "placement", "routing", "packing")
_PASS = re.compile(r"^\d+(?:\.\d+)*\. Executing ([A-Z0-9_]+)")
_ARCS = re.compile(r"^Info: Routing (\d+) arcs")
_REMAINING = re.compile(r"^Info:\s+(\d+) \|\s+\d+\s+\d+ \|\s+\d+\s+\d+ \|\s+(\d+)\|")
_ITERATION = re.compile(r"^Info:\s+(?:at iteration #|iter=)(\d+)")
_OVERUSED = re.compile(r"^Info:\s+iter=\d+ wires=\d+ overused=(\d+)")
MOST_TURNS = 3  # times that arcs are laid, in the mean: designs of 80,000 and more that were routed took up to 2.5


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


class Circling(Exception):
    """A router lays the same wires again and again."""


class SynthesisWatch:
    """Yosys: which of its passes runs."""

    def __init__(self, report):
        self._report = report
        report(SYNTHESIS, None, "")

    def __call__(self, line):
        if match := _PASS.match(line):
            self._report(SYNTHESIS, None, match[1].lower().replace("_", " "))


class RouterWatch:
    """nextpnr: packing of cells and placement first, then routing.

    Its routers count down arcs that are not laid, or wires that more than one net uses. With `impatient`, a router
    that has laid MOST_TURNS times as many arcs as there are raises Circling.
    """

    def __init__(self, report, *, impatient=False):
        self._report, self._impatient = report, impatient
        self._stage, self._most = PLACEMENT, None
        report(PLACEMENT, None, "")

    def __call__(self, line):
        if self._stage == PLACEMENT and (match := _ARCS.match(line)):
            self._begin(int(match[1]), f"{match[1]} arcs")
        elif match := _OVERUSED.match(line):  # which _ITERATION matches, too
            left = int(match[1])
            if self._stage == PLACEMENT:
                self._begin(left, f"{left} wires in conflict")
            else:
                self._report(ROUTING, 1 - min(left, self._most) / max(self._most, 1), f"{left} wires in conflict")
        elif self._most and (match := _REMAINING.match(line)):
            laid, left = map(int, match.groups())
            self._report(ROUTING, 1 - left / self._most, f"{left} arcs remain")
            if self._impatient and left and laid > MOST_TURNS * self._most:
                raise Circling
        elif self._stage == PLACEMENT and (match := _ITERATION.match(line)):
            self._report(PLACEMENT, None, f"iteration {match[1]}")

    def _begin(self, most, what):
        self._stage, self._most = ROUTING, most
        self._report(ROUTING, 0.0, what)
