"""The units as processes of a discrete-event simulation (simpy): who waits for whom, and how long."""

from dataclasses import dataclass
from math import ceil

import simpy

from quantflow import isa
from quantflow.cycles.array import Pipeline, compute_cycles, first_group_hold
from quantflow.cycles.bandwidth import Bandwidth
from quantflow.cycles.read_port import ReadPort
from quantflow.isa import Opcode, Unit

# Cycles that the gateware adds around the work itself; tests hold the model against the RTL.
PREFETCH = 4  # instructions on their way from memory at once
FETCH = 4  # from a start, or from room for an instruction, to its address on the bus
DISPATCH = 5  # from an instruction's last beat to its unit
REQUEST = 4  # from a load at its unit to its address on the bus
LOAD_END = 3  # from the last beat of a load to the token that it sends
STORE_BEGIN = 7  # from a store at its unit to its first beat
STORE_END = 3  # from the answer to a store's last burst to the token that it sends
FINISH = 4  # from the last unit to the done flag

# What the array may wait for: a token of the load or of the store unit, its next instruction, the pipeline
# between two instructions, and the results of the one before that have not left yet.
REASONS = ("load", "store", "instruction", "start", "drain")


@dataclass(frozen=True, kw_only=True)
class Span:
    """One instruction's work in a unit."""

    unit: Unit
    stage: int
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Cycles of one run, and of each stage: from the end of the stage before it to its own end."""

    cycles: int
    stages: tuple[int, ...]
    idle: tuple[dict[str, int], ...]  # by stage, cycles in which the array stood still, by what it waited for
    spans: tuple[Span, ...]


def estimate(deployment, timing, program="cold"):
    """Cycles of one of a `Deployment`'s programs on a memory of this `MemoryTiming`."""
    machine = _Machine(deployment.config, timing, deployment.programs[program], len(deployment.stages))
    return machine.run()


class _Machine:
    def __init__(self, config, timing, program, stage_count):
        self.config, self.timing = config, timing
        self.program = list(zip(program.instructions, program.stages, strict=True))
        self.env = env = simpy.Environment()
        self.bandwidth = Bandwidth(env, timing, config)
        self.queues = {unit: simpy.Store(env, config.queue_depth) for unit in Unit}
        self.arrived = simpy.Store(env)
        self.read_port = ReadPort(env, timing, config, self.bandwidth)
        self.ahead, self.place_ahead = simpy.Store(env), simpy.Container(env, init=1)
        self.tokens = {(a, b): simpy.Container(env) for a in Unit for b in Unit}
        self.pipeline = Pipeline.of(config)
        self.left = {unit: 0 for unit in Unit}
        for instruction, _ in self.program:
            self.left[Unit(instruction.opcode - Opcode.LOAD)] += 1
        self.spans, self.idle = [], [dict.fromkeys(REASONS, 0) for _ in range(stage_count)]
        self.stage_end = [0.0] * stage_count

    def run(self):
        for process in (self.fetch, self.dispatch, self.load, self.take_ahead, self.compute, self.store):
            self.env.process(process())
        self.env.run()
        ends, last = [], 0.0
        for end in self.stage_end:
            last = max(last, end)
            ends.append(last)
        cycles = ceil(max(span.end for span in self.spans) + FINISH)
        ends[-1] = cycles
        stages = tuple(round(end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True))
        idle = tuple({reason: round(count) for reason, count in waits.items() if round(count)} for waits in self.idle)
        return Estimate(cycles=cycles, stages=stages, idle=idle, spans=tuple(self.spans))

    # Instructions

    def fetch(self):
        self.room = simpy.Container(self.env, init=PREFETCH, capacity=PREFETCH)
        beats = isa.instruction_bits(self.config) // self.config.beat_bits
        for entry in self.program:
            yield self.room.get(1)
            yield self.env.timeout(FETCH)
            self.arrived.put((entry, self.read_port.ask("fetch", beats)))

    def dispatch(self):
        for _ in self.program:
            entry, arrived = yield self.arrived.get()
            yield arrived
            unit = Unit(entry[0].opcode - Opcode.LOAD)
            yield self.queues[unit].put((entry, self.env.now + DISPATCH))
            self.room.put(1)

    def next(self, unit):
        """A process's next instruction, when it is at its unit with all its tokens; what it waited for last."""
        reason, since = "instruction", self.env.now
        (instruction, stage), ready = yield self.queues[unit].get()
        yield self.env.timeout(max(0, ready - self.env.now))
        for sender in Unit:
            if instruction.wait >> sender & 1:
                before = self.env.now
                yield self.tokens[sender, unit].get(1)
                if self.env.now > before:
                    reason = sender.name.lower()
        return instruction, stage, reason if self.env.now > since else None

    def finish(self, unit, instruction, stage, start):
        self.spans.append(Span(unit=unit, stage=stage, start=start, end=self.env.now))
        for receiver in Unit:
            if instruction.signal >> receiver & 1:
                self.tokens[unit, receiver].put(1)

    # Memory

    def load(self):
        for _ in range(self.left[Unit.LOAD]):
            instruction, stage, _ = yield from self.next(Unit.LOAD)
            start = self.env.now
            yield self.env.timeout(REQUEST)
            received = self.read_port.ask("load", instruction.beats)
            self.env.process(self.receive(instruction, stage, start, received))

    def receive(self, instruction, stage, start, received):
        yield received
        yield self.env.timeout(LOAD_END)
        self.finish(Unit.LOAD, instruction, stage, start)

    def store(self):
        for _ in range(self.left[Unit.STORE]):
            instruction, stage, _ = yield from self.next(Unit.STORE)
            start = self.env.now
            yield self.env.timeout(STORE_BEGIN)
            yield from self.bandwidth.move("write", instruction.beats)
            yield self.env.timeout(self.timing.latency + STORE_END)
            self.finish(Unit.STORE, instruction, stage, start)

    # Array

    def take_ahead(self):
        """The compute unit takes its next instruction while it works on one."""
        for _ in range(self.left[Unit.COMPUTE]):
            yield self.place_ahead.get(1)
            instruction, stage, reason = yield from self.next(Unit.COMPUTE)
            self.ahead.put((instruction, stage, reason, self.env.now))

    def compute(self):
        pipeline, before, last_step = self.pipeline, None, None
        for _ in range(self.left[Unit.COMPUTE]):
            instruction, stage, reason, taken = yield self.ahead.get()
            first = taken + pipeline.start
            if before is None:
                self._count_idle(stage, reason, first, 0)
            else:
                overlapped = instruction.overlaps or before.partial
                earliest = last_step + (pipeline.overlap if overlapped else pipeline.wait)
                self._count_idle(stage, reason, first - earliest, earliest - last_step - 1)
                first = max(first, earliest)
                hold = first_group_hold(instruction, before, pipeline, first - last_step)
                self.idle[stage]["drain"] += hold
                first += hold
            yield self.env.timeout(max(0, first - self.env.now))
            self.place_ahead.put(1)
            yield self.env.timeout(compute_cycles(instruction, self.config))
            last_step, before = self.env.now - 1, instruction
            self.env.process(self._written(instruction, stage, first))

    def _count_idle(self, stage, reason, waited, between):
        waits = self.idle[stage]
        waits["start"] += between
        if waited > 0:
            waits[reason or "instruction"] += waited

    def _written(self, instruction, stage, start):
        yield self.env.timeout(self.pipeline.done - 1)
        self.stage_end[stage] = self.env.now
        self.finish(Unit.COMPUTE, instruction, stage, start)
