"""The units of a machine that overlaps them: who waits for whom, and how long."""

import simpy

from quantflow.cycles.array import compute_cycles, first_group_hold
from quantflow.cycles.machine import FETCH, Machine, unit_of
from quantflow.isa import Unit

# Cycles that the gateware adds around the work itself; tests hold the model against the RTL.
PREFETCH = 4  # instructions on their way from memory at once
DISPATCH = 5  # from an instruction's last beat to its unit
REQUEST = 4  # from a load at its unit to its address on the bus
LOAD_END = 3  # from the last beat of a load to the token that it sends
STORE_BEGIN = 7  # from a store at its unit to its first beat
STORE_END = 3  # from the answer to a store's last burst to the token that it sends


class OverlappingMachine(Machine):
    """Each unit takes instructions from its own queue, when their tokens are there."""

    def __init__(self, config, timing, program, stage_count):
        super().__init__(config, timing, program, stage_count)
        env = self.env
        self.queues = {unit: simpy.Store(env, config.queue_depth) for unit in Unit}
        self.arrived = simpy.Store(env)
        self.room = simpy.Container(env, init=PREFETCH, capacity=PREFETCH)
        self.ahead, self.place_ahead = simpy.Store(env), simpy.Container(env, init=1)
        self.tokens = {(a, b): simpy.Container(env) for a in Unit for b in Unit}
        self.left = {unit: 0 for unit in Unit}
        for instruction, _ in self.program:
            self.left[unit_of(instruction)] += 1

    def processes(self):
        return self.fetch(), self.dispatch(), self.load(), self.take_ahead(), self.compute(), self.store()

    # Instructions

    def fetch(self):
        for number, entry in enumerate(self.program):
            yield self.room.get(1)
            yield self.env.timeout(FETCH)
            self.arrived.put((entry, self.ask_for_instruction(number)))

    def dispatch(self):
        for _ in self.program:
            entry, arrived = yield self.arrived.get()
            yield arrived
            yield self.queues[unit_of(entry[0])].put((entry, self.env.now + DISPATCH))
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
        super().finish(unit, instruction, stage, start)
        for receiver in Unit:
            if instruction.signal >> receiver & 1:
                self.tokens[unit, receiver].put(1)

    # Memory

    def load(self):
        for _ in range(self.left[Unit.LOAD]):
            instruction, stage, _ = yield from self.next(Unit.LOAD)
            start = self.env.now
            yield self.env.timeout(REQUEST)
            self.env.process(self.receive(instruction, stage, start, self.ask_for_load(instruction)))

    def receive(self, instruction, stage, start, received):
        yield received
        yield self.env.timeout(LOAD_END)
        self.finish(Unit.LOAD, instruction, stage, start)

    def store(self):
        for _ in range(self.left[Unit.STORE]):
            instruction, stage, _ = yield from self.next(Unit.STORE)
            start = self.env.now
            yield self.env.timeout(STORE_BEGIN)
            yield from self.write(instruction)
            yield self.env.timeout(STORE_END)
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
        self.finish(Unit.COMPUTE, instruction, stage, start)
