"""What nextpnr's report says of a design: its clock, what limits it, and what it takes."""

import json
import re
from dataclasses import dataclass

from boards.flow.families import NETLIST, OTHER, REPORT

_MADE_BY_TOOLS = re.compile(r"_(?=[A-Z]).*|(\.\d+)+$|\$.*")  # what Yosys and nextpnr put behind a signal's name
_PACKED = re.compile(r"\$.*$|_(LC|DFFLC|RAM|DSP)$")  # what nextpnr puts behind the name of a cell of the netlist
_CARRY_OUTPUTS = ("FCO", "COUT")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One part of the critical path: a cell's delay, or the way over a net to the next cell."""

    kind: str  # nextpnr's word: clk-to-q, routing, logic, setup
    ns: float
    cell: str  # that the step ends in
    cell_kind: str  # register, LUT, carry, block RAM, multiplier
    net: str = ""  # of routing


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The clock that a placed and routed design allows, and what limits it."""

    mhz: float  # of the clock with the greatest constraint, which is the accelerator's
    constraint_mhz: float
    met: bool  # by every clock
    critical_path: tuple[Step, ...]
    utilization: dict  # {cell: {"used", "available"}}

    @property
    def used(self):
        return {cell: counts["used"] for cell, counts in self.utilization.items() if counts["used"]}

    @property
    def words(self):
        """The critical path as a sentence."""
        return describe(self.critical_path)


def read_timing(folder, flow):
    """The Timing in the report that nextpnr left in `folder`, beside the netlist that it read."""
    cells = json.loads((folder / NETLIST).read_text())["modules"]
    types = {name: cell["type"] for module in cells.values() for name, cell in module["cells"].items()}
    return timing_of(json.loads((folder / REPORT).read_text()), types, flow)


def timing_of(report, types, flow):
    """The Timing of a report; `types` are those of the netlist's cells, by name."""
    clocks = report["fmax"]
    name = max(clocks, key=lambda each: clocks[each]["constraint"])
    edges = [f"{edge} {name}" for edge in ("posedge", "negedge")]
    inside = [path["path"] for path in report["critical_paths"] if path["from"] in edges and path["to"] in edges]
    longest = max(inside, key=lambda path: sum(part["delay"] for part in path), default=[])
    return Timing(
        mhz=clocks[name]["achieved"],
        constraint_mhz=clocks[name]["constraint"],
        met=all(clock["achieved"] >= clock["constraint"] for clock in clocks.values()),
        critical_path=tuple(_step(part, types, flow) for part in longest),
        utilization=report["utilization"],
    )


def _step(part, types, flow):
    end = part["to"]
    kind = flow.kind(types.get(end["cell"]) or types.get(_PACKED.sub("", end["cell"]), ""))
    if part["type"] == "logic" and end["port"] in _CARRY_OUTPUTS:
        kind = "carry"
    return Step(
        kind=part["type"], ns=round(part["delay"], 3), cell=end["cell"], cell_kind=kind, net=part.get("net", "")
    )


def describe(path):
    """A critical path in words: from where to where, through what, and where its time goes."""
    if not path:
        return "no path from register to register"
    routing = sum(step.ns for step in path if step.kind == "routing")
    total = sum(step.ns for step in path)
    through = [step.cell_kind for step in path if step.kind == "logic"]
    parts = [_counted(through.count(kind), kind) for kind in dict.fromkeys(through) if kind not in ("carry", OTHER)]
    if "carry" in through:
        parts.append(f"a carry chain of {_counted(through.count('carry'), 'cell')}")
    first, last = path[0], path[-1]
    nets = [step.net for step in path if step.net]
    start = nets[0] if first.cell_kind == "register" and nets else first.cell
    return (
        f"from {first.cell_kind} {_readable(start)} "
        + (f"through {', '.join(parts)} " if parts else "")
        + f"to {last.cell_kind} {_readable(last.cell)}: {total:.1f} ns, "
        f"{total - routing:.1f} in logic and {routing:.1f} in routing"
    )


def _counted(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _readable(name):
    """A signal's name without what the tools put behind it."""
    return _MADE_BY_TOOLS.sub("", name) or name
