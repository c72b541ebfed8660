"""The cycle model: how long a program takes and what it waits for, without simulating the gateware.

Fetch, units, queues, tokens and the memory are followed instruction by instruction (`machine` and its two
kinds); what the array takes for an instruction is counted exactly (`array`). Tests hold it against the RTL's counters.
"""

from quantflow.cycles.array import compute_cycles, compute_steps
from quantflow.cycles.machine import Estimate
from quantflow.cycles.memory import MemoryTiming
from quantflow.cycles.simulation import estimate

__all__ = ["Estimate", "MemoryTiming", "compute_cycles", "compute_steps", "estimate"]
