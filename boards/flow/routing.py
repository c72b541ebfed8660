"""Placement and routing: the one way to call nextpnr."""

import contextlib
import re
from dataclasses import dataclass

from boards.flow.families import NETLIST, REPORT
from boards.flow.timing import Timing, read_timing
from boards.flow.tools import last_words
from boards.flow.watching import Circling, RouterWatch, Stopwatch, ignore
from quantflow.errors import UserError

LOG = "nextpnr.log"
_USED = re.compile(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%")


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run of nextpnr gave, and how long its stages took."""

    timing: Timing
    router: str  # nextpnr's options for it, "" for its default one
    seconds: dict[str, float]


def place_and_route(flow, part, folder, constrained, *, seed=1, aimed_mhz, report=ignore):
    """Place and route the netlist in `folder` for a part, which leaves there what the packer takes; returns a Run.

    Where a router goes round in circles, all is done again with the flow's next one.

    `constrained` are the options that say where the pins are; `aimed_mhz` is asked for clocks that no constraint and
    no PLL says more about. A clock that is missed is a result and no failure. `report(stage, share done, what)` is
    called while nextpnr runs. Raises UserError, with the reason, where the design fits the part in no way.
    """
    arguments = [*part.options, *constrained, "--freq", f"{aimed_mhz:g}", "--seed", seed, "--timing-allow-fail"]
    arguments += ["--json", NETLIST, "--report", REPORT, *flow.routed, *flow.placer]
    (folder / REPORT).unlink(missing_ok=True)
    stopwatch = Stopwatch(report)
    for number, router in enumerate(flow.routers, 1):
        watch = RouterWatch(stopwatch, impatient=number < len(flow.routers))
        with contextlib.suppress(Circling):
            code = flow.nextpnr.run([*arguments, *router], folder, LOG, watch)
            break
    stopwatch.stop()
    if code or not (folder / REPORT).exists():
        raise UserError(_reason(folder / LOG, part))
    return Run(timing=read_timing(folder, flow), router=" ".join(router), seconds=stopwatch.seconds)


def _reason(log, part):
    """Why nextpnr could not place and route a design."""
    counts = [match.groups() for match in map(_USED.match, log.read_text().splitlines()) if match]
    exceeded = [f"{used} {cell} of {available}" for cell, used, available in counts if int(used) > int(available)]
    if exceeded:
        return f"the design does not fit {part.name}: it takes {', '.join(exceeded)}; generate a smaller machine"
    return f"nextpnr could not place and route the design for {part.name}: {last_words(log)}"
