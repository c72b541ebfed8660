"""Cycles of a whole program, by simulating what its instructions wait for."""

from quantflow.cycles.overlapping import OverlappingMachine
from quantflow.cycles.sequential import SequentialMachine


def estimate(deployment, timing, program="cold"):
    """The Estimate of one of a `Deployment`'s programs on a memory of this `MemoryTiming`."""
    machine = OverlappingMachine if deployment.config.overlap else SequentialMachine
    return machine(deployment.config, timing, deployment.programs[program], len(deployment.stages)).run()
