"""A machine that does one instruction after the other."""

from quantflow.cycles.array import compute_cycles
from quantflow.cycles.machine import FETCH, REASONS, Machine, unit_of
from quantflow.isa import Unit

# Cycles that the gateware adds around the work itself; tests hold the model against the RTL.
HAND_OVER = 1  # from an instruction's last beat to its unit
REQUEST = 1  # from a load at its unit to its address on the bus
LOAD_END = 3  # from the last beat of a load to its end
STORE_BEGIN = 1  # from a store at its unit to its first beat
STORE_END = 3  # from the answer to a store's last burst to its end
START = 2  # from a compute instruction at its unit to its first step


class SequentialMachine(Machine):
    """Each instruction is fetched when the one before is done."""

    def processes(self):
        return (self.all(),)

    def all(self):
        work = {Unit.LOAD: self.load, Unit.COMPUTE: self.compute, Unit.STORE: self.store}
        reasons = {Unit.LOAD: "load", Unit.COMPUTE: "start", Unit.STORE: "store"}
        waits = dict.fromkeys(REASONS, 0)  # of the array since its last step
        for number, (instruction, stage) in enumerate(self.program):
            unit, before = unit_of(instruction), self.env.now
            yield self.env.timeout(FETCH)
            yield self.ask_for_instruction(number)
            yield self.env.timeout(HAND_OVER)
            waits["instruction"] += self.env.now - before
            if unit == Unit.COMPUTE:
                for reason, cycles in waits.items():
                    self.idle[stage][reason] += cycles
                waits = dict.fromkeys(REASONS, 0)
            start = self.env.now
            steps = yield from work[unit](instruction)
            waits[reasons[unit]] += self.env.now - start - steps
            self.finish(unit, instruction, stage, start)

    # Each returns the steps that the array took.

    def load(self, instruction):
        yield self.env.timeout(REQUEST)
        yield self.ask_for_load(instruction)
        yield self.env.timeout(LOAD_END)
        return 0

    def store(self, instruction):
        yield self.env.timeout(STORE_BEGIN)
        yield from self.write(instruction)
        yield self.env.timeout(STORE_END)
        return 0

    def compute(self, instruction):
        steps = compute_cycles(instruction, self.config)
        yield self.env.timeout(START + steps + self.pipeline.done - 1)
        return steps
