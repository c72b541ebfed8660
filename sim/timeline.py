"""Which unit worked on which stage of the network, from the testbench's record of retirements and busy units."""

from dataclasses import dataclass, replace

from quantflow.isa import Unit

RETIRED = {"L": Unit.LOAD, "C": Unit.COMPUTE, "S": Unit.STORE}
CHANGED = {event.lower(): unit for event, unit in RETIRED.items()}
INTERRUPT = "I"


@dataclass(frozen=True, kw_only=True)
class UnitSpan:
    """A unit works on a stage's instruction: from the one before, or from when it was idle, to its retirement."""

    unit: Unit
    stage: int
    start: int  # cycles from the beginning of the run
    end: int


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One run."""

    cycles: int
    stage_cycles: tuple[int, ...]  # from the last retirement of the stage before to the stage's own
    spans: tuple[UnitSpan, ...]

    def merged(self, parts=1000):
        """The spans, those of one unit and stage that lie closer than a `parts`-th of the run being one."""
        merged, latest = [], {}  # where the latest span of a unit is
        for span in self.spans:
            before = merged[latest[span.unit]] if span.unit in latest else None
            if before and before.stage == span.stage and (span.start - before.end) * parts <= self.cycles:
                merged[latest[span.unit]] = replace(before, end=span.end)
            else:
                latest[span.unit] = len(merged)
                merged.append(span)
        return merged


def read_timelines(path, programs, results, manifest):
    """A Timeline for each run.

    The first stage begins with the run and the last ends with it, so that the stages' cycles add
    up to the run's. `programs` are the runs' program names, `results` what sim/host.py reports.
    """
    timelines, events = [], []
    for line in path.read_text().splitlines():
        cycle, event = line.split()
        if event in RETIRED or event in CHANGED:
            events.append((int(cycle), event))
        elif event == INTERRUPT:
            number = len(timelines)
            if number == len(programs):
                break
            program, end = manifest.programs[programs[number]], int(cycle)
            start = end - results[number]["cycles"]
            timelines.append(
                Timeline(
                    cycles=end - start,
                    stage_cycles=program.stage_cycles(_computed(events, start), end - start),
                    spans=tuple(_spans(program, events, start)),
                )
            )
            events = []
    if len(timelines) != len(programs):
        raise RuntimeError(f"{path} records {len(timelines)} of {len(programs)} runs")
    return timelines


def _computed(events, start):
    """The cycles from the run's start in which compute instructions retired."""
    return [cycle - start for cycle, event in events if RETIRED.get(event) == Unit.COMPUTE]


def _spans(program, events, start):
    """The spans in the order of their ends."""
    left = {unit: [record.stage for _, record in program.of_unit(unit.name.lower())][::-1] for unit in Unit}
    since, busy = dict.fromkeys(Unit, start), dict.fromkeys(Unit, False)
    for cycle, event in events:
        if event in RETIRED:
            unit = RETIRED[event]
            yield UnitSpan(unit=unit, stage=left[unit].pop(), start=since[unit] - start, end=cycle - start)
            since[unit] = cycle
        else:
            unit = CHANGED[event]
            busy[unit] = not busy[unit]
            if busy[unit]:
                since[unit] = cycle
