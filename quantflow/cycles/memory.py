"""The memory behind the machine, as the cycle model and the simulated one know it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """A memory behind the AXI4 ports: how long it takes to answer, and how much it moves."""

    latency: int = 10  # cycles from a read request to its first beat
    bytes_per_cycle: float | None = None  # of reads and writes on all ports together; None: whatever the ports carry

    def cycles_per_beat(self, config):
        """Cycles from one beat of all ports to the next, reads or writes being alone."""
        return max(1.0, config.beat_bytes / self.bytes_per_cycle) if self.bytes_per_cycle else 1.0
