"""What `quantflow.prediction` finds, as the manifest keeps it."""

from dataclasses import dataclass, field

SHARES = ("array", "drain", "memory", "start")


@dataclass(frozen=True, kw_only=True)
class StagePrediction:
    """Cycles of one stage of a program, from the end of the stage before to its own, and what they go by.

        cycles = array + drain + memory + start

    The first stage begins with the run and the last ends with it. What the load and store units do while the
    array works counts nowhere but in `bytes_moved`.
    """

    cycles: int
    array: int  # the array takes operands
    drain: int  # it waits for the requantizer, which is still at an earlier group
    memory: int  # it waits for loads or stores; in the last stage also for results on their way to memory
    start: int  # it waits for an instruction, or for the pipeline between two of them
    bytes_moved: dict[str, int] = field(default_factory=dict)  # by cause: weights, parameters, input, ..., PROGRAM

    @property
    def bound(self):
        """What most of the stage's cycles go by: one of SHARES."""
        return max(SHARES, key=lambda share: getattr(self, share))
