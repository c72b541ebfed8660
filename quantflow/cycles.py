"""The cycle model: how long a program takes, without simulating it.

Fetch, units, tokens, queues and the memory port are followed instruction by instruction. A compute
instruction takes the array's cycles, exactly, and a fixed overhead; a load takes its beats at the
memory's sustained rate, latency being hidden behind the load before it.
"""

from collections import defaultdict
from dataclasses import dataclass
from math import ceil

from quantflow import isa
from quantflow.isa import Opcode, Unit

# Cycles that the gateware adds around the work itself; tests hold the model against the RTL.
PREFETCH = 4  # instructions on their way from memory at once
FETCH = 4  # from a start, or from room for an instruction, to its address on the bus
DISPATCH = 4  # from an instruction's last beat to its unit
REQUEST = 4  # from a load at its unit to its address on the bus
BETWEEN_LOADS = 1
LOAD_END = 3  # from the last beat of a load to the token that it sends
STORE_OVERHEAD = 7  # around the beats of a store, the memory's latency aside
FINISH = 3  # from the last unit to the done flag


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """A memory behind the AXI4 ports: how long it takes to answer, and how much it moves."""

    latency: int = 10  # cycles from a read request to its first beat
    bytes_per_cycle: float | None = None  # of reads and writes on all ports together; None: whatever the ports carry

    def cycles_per_beat(self, config):
        """Cycles from one beat of all ports to the next, reads or writes being alone."""
        return max(1.0, config.beat_bytes / self.bytes_per_cycle) if self.bytes_per_cycle else 1.0


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
    """Pipeline cycles of a compute instruction beyond its array cycles (ComputeUnit.overhead_cycles)."""
    adder_tree = (config.lanes - 1).bit_length()
    requantize_beside_addresses = max(5, config.requantizers + 2)
    return 16 + adder_tree + config.drain_cycles + requantize_beside_addresses


def estimate(deployment, timing, program="cold"):
    """Cycles of one of a `Deployment`'s programs on a memory of this `MemoryTiming`."""
    return _Timeline(deployment.config, timing).run(deployment.programs[program], len(deployment.stages))


class _Timeline:
    def __init__(self, config, timing):
        self.config, self.timing = config, timing
        self.beat = timing.cycles_per_beat(config)
        self.port_free = 0.0  # when the read port has delivered everything asked for so far
        self.taken = defaultdict(list)  # when each unit took its instructions from its queue
        self.ended = defaultdict(float)  # when each unit has finished its instructions so far
        self.tokens = defaultdict(list)  # (sender, receiver): when tokens were sent

    def run(self, program, stage_count):
        stage_end = [0.0] * stage_count
        dispatched = [0.0] * PREFETCH
        for instruction, stage in zip(program.instructions, program.stages, strict=True):
            unit = Unit(instruction.opcode - Opcode.LOAD)
            dispatched.append(self._dispatch(dispatched[-PREFETCH], dispatched[-1], unit))
            end = self._perform(instruction, unit, max(dispatched[-1], self._received(instruction, unit)))
            if unit == Unit.COMPUTE:
                stage_end[stage] = end
            for receiver in Unit:
                if instruction.signal >> receiver & 1:
                    self.tokens[unit, receiver].append(end)
        starts = [0.0, *stage_end[:-1]]
        return Estimate(
            cycles=ceil(max(self.ended.values()) + FINISH),
            stages=tuple(round(end - start) for start, end in zip(starts, stage_end, strict=True)),
        )

    def _dispatch(self, room, before, unit):
        """When the next instruction is in its unit's queue, there being `room` to fetch it.

        Its beats queue behind what the read port owes, which is at most the bursts under way.
        """
        config, asked = self.config, room + FETCH
        beats = isa.instruction_bits(config) // config.beat_bits
        owed = min(self.port_free, asked + config.outstanding_bursts * config.burst_beats * self.beat)
        arrived = max(asked + self.timing.latency, owed) + beats * self.beat
        self.port_free = max(asked + self.timing.latency, self.port_free) + beats * self.beat
        queue_room = self.taken[unit][-config.queue_depth] if len(self.taken[unit]) >= config.queue_depth else 0.0
        return max(arrived + DISPATCH, before, queue_room)

    def _received(self, instruction, unit):
        """When the tokens that an instruction waits for are there."""
        senders = [sender for sender in Unit if instruction.wait >> sender & 1]
        return max((self.tokens[sender, unit].pop(0) for sender in senders), default=0.0)

    def _perform(self, instruction, unit, ready):
        """When the instruction ends, if it may begin at `ready`."""
        if unit == Unit.LOAD:
            self.taken[unit].append(ready)
            start = max(self.port_free, ready + REQUEST + self.timing.latency)
            self.port_free = start + instruction.beats * self.beat + BETWEEN_LOADS
            end = self.port_free + LOAD_END
        else:
            start = max(self.ended[unit], ready)
            self.taken[unit].append(start)
            if unit == Unit.COMPUTE:
                end = start + compute_cycles(instruction, self.config) + compute_overhead(self.config)
            else:
                end = start + instruction.beats * self.beat + self.timing.latency + STORE_OVERHEAD
        self.ended[unit] = end
        return end
