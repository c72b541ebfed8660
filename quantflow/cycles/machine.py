"""One run of a machine as a discrete-event simulation (simpy): what is the same for every kind of machine."""

from dataclasses import dataclass
from math import ceil

import simpy

from quantflow import isa
from quantflow.cycles.array import Pipeline
from quantflow.cycles.bandwidth import Bandwidth
from quantflow.cycles.read_port import ReadPort
from quantflow.isa import Opcode, Unit

# Cycles that the gateware adds around the work itself; tests hold the model against the RTL.
FETCH = 4  # from a start, or from room for an instruction, to its address on the bus
FINISH = 4  # from the last unit to the done flag

# What the array may wait for: a load or store, or its token; its next instruction; the pipeline between two
# instructions; and the results of the one before that have not left yet.
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


class Machine:
    """A program's instructions, the memory that they come from, and what is noted of them.

    A subclass's `processes` are the simulation's.
    """

    def __init__(self, config, timing, program, stage_count):
        self.config, self.timing = config, timing
        self.program = list(zip(program.instructions, program.stages, strict=True))
        self.program_address = program.offset
        self.env = env = simpy.Environment()
        self.bandwidth = Bandwidth(env, timing, config)
        self.read_port = ReadPort(env, timing, config, self.bandwidth)
        self.pipeline = Pipeline.of(config)
        self.spans, self.idle = [], [dict.fromkeys(REASONS, 0) for _ in range(stage_count)]
        self.stage_end = [0.0] * stage_count

    def run(self):
        for process in self.processes():
            self.env.process(process)
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

    def ask_for_instruction(self, number):
        """The event of its last beat's arriving."""
        beats = isa.instruction_bits(self.config) // self.config.beat_bits
        return self.read_port.ask("fetch", self.program_address + number * beats * self.config.beat_bytes, beats)

    def ask_for_load(self, load):
        """The event of its last beat's arriving."""
        return self.read_port.ask("load", load.memory_address, load.beats)

    def write(self, store):
        """A process that ends when memory has answered."""
        yield from self.bandwidth.move("write", store.beats)
        yield self.env.timeout(self.timing.latency)

    def finish(self, unit, instruction, stage, start):
        """Note an instruction that a unit has done by now."""
        self.spans.append(Span(unit=unit, stage=stage, start=start, end=self.env.now))
        if unit == Unit.COMPUTE:
            self.stage_end[stage] = self.env.now


def unit_of(instruction):
    """The Unit that does an instruction."""
    return Unit(instruction.opcode - Opcode.LOAD)
