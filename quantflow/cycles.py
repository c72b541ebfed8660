"""The cycle model: how long a program takes, without simulating it.

Units, tokens and the memory port are followed instruction by instruction. A compute instruction
takes the array's cycles, exactly, and a fixed overhead; a load takes its beats at the memory's
sustained rate, latency being hidden behind the load before it.
"""

from dataclasses import dataclass
from math import ceil

from quantflow import isa
from quantflow.isa import Opcode, Unit

# Cycles that the gateware adds, each asserted against the RTL in tests.
DISPATCH = 6  # from an instruction's last beat to its unit
LOAD_OVERHEAD = 6  # from the last beat of a load to the token that it sends
STORE_OVERHEAD = 10  # around the beats of a store, the memory's latency aside
FINISH = 4  # from the last unit to the done flag


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """A memory behind the AXI4 port: `stall_cycles` without data after every `stall_period` beats."""

    latency: int = 10  # cycles from a read request to its first beat
    stall_period: int = 16
    stall_cycles: int = 4

    @property
    def cycles_per_beat(self):
        return (self.stall_period + self.stall_cycles) / self.stall_period


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Cycles of one run, and of each stage: from the end of the stage before it to its own end."""

    cycles: int
    stages: tuple[int, ...]


def compute_cycles(compute, config):
    """Cycles in which a compute instruction occupies the array."""
    steps = compute.kernel_rows * compute.kernel_columns * compute.input_blocks
    groups = compute.output_blocks * compute.output_rows * compute.output_groups
    return groups * compute.window_rows * compute.window_columns * max(steps, config.drain_cycles)


def compute_overhead(config):
    """Pipeline cycles of a compute instruction beyond its array cycles."""
    return 13 + (config.lanes - 1).bit_length() + config.drain_cycles


def estimate(deployment, timing, program="cold"):
    """Cycles of one of a `Deployment`'s programs on a memory of this `MemoryTiming`."""
    return _Timeline(deployment.config, timing).run(deployment.programs[program], len(deployment.stages))


class _Timeline:
    def __init__(self, config, timing):
        self.config, self.timing = config, timing
        self.port_free = 0.0  # when the read port has delivered everything asked for so far
        self.free = {unit: 0.0 for unit in Unit}  # when a unit has finished its instructions so far
        self.tokens = {}  # (sender, receiver) -> times at which tokens were sent

    def run(self, program, stage_count):
        beats = isa.instruction_bits(self.config) // self.config.port_bits
        rate = self.timing.cycles_per_beat
        self.port_free = self.timing.latency + program.length * beats * rate
        stage_end = [0.0] * stage_count
        for index, (instruction, stage) in enumerate(zip(program.instructions, program.stages, strict=True)):
            unit = Unit(instruction.opcode - Opcode.LOAD)
            fetched = self.timing.latency + (index + 1) * beats * rate + DISPATCH
            end = self._perform(instruction, unit, max(fetched, self._received(instruction, unit)))
            if unit == Unit.COMPUTE:
                stage_end[stage] = end
            for receiver in Unit:
                if instruction.signal >> receiver & 1:
                    self.tokens.setdefault((unit, receiver), []).append(end)
        starts = [0.0, *stage_end[:-1]]
        return Estimate(
            cycles=ceil(max(self.free.values()) + FINISH),
            stages=tuple(round(end - start) for start, end in zip(starts, stage_end, strict=True)),
        )

    def _received(self, instruction, unit):
        """When the tokens that an instruction waits for are there."""
        senders = [sender for sender in Unit if instruction.wait >> sender & 1]
        return max((self.tokens[sender, unit].pop(0) for sender in senders), default=0.0)

    def _perform(self, instruction, unit, ready):
        """When the instruction ends, if it may begin at `ready`."""
        if unit == Unit.LOAD:
            start = max(self.port_free, ready + self.timing.latency)
            self.port_free = start + instruction.beats * self.timing.cycles_per_beat
            end = self.port_free + LOAD_OVERHEAD
        else:
            start = max(self.free[unit], ready)
            if unit == Unit.COMPUTE:
                end = start + compute_cycles(instruction, self.config) + compute_overhead(self.config)
            else:
                end = start + instruction.beats + self.timing.latency + STORE_OVERHEAD
        self.free[unit] = end
        return end
