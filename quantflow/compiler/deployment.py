"""What the compiler hands over: programs, the model's memory image, the host's side of both."""

from dataclasses import dataclass, field

import numpy as np

from quantflow.compiler.assembly import format_program
from quantflow.compiler.transfer import Transfer
from quantflow.config import Config


@dataclass(frozen=True, kw_only=True)
class StageInfo:
    """A stage as reports name it."""

    name: str  # its layers, joined by "+", and which image of a batch it is for, if it is for one only
    layers: tuple[str, ...]
    macs: int
    array_cycles: int  # cycles that the array needs for it, without any waiting


@dataclass(frozen=True, kw_only=True)
class Program:
    """Instructions as they lie in the model image."""

    offset: int  # byte offset of the first instruction in the image
    instructions: tuple
    labels: tuple[str, ...]  # what each instruction is for
    stages: tuple[int, ...]  # the stage that each instruction serves
    causes: tuple[str, ...]  # what it moves: weights, parameters, input, output, maps in, maps out; "" for computing
    beat_bytes: int

    @property
    def length(self):
        return len(self.instructions)

    @property
    def bytes_moved(self):
        """Bytes by cause, of all loads and stores."""
        moved = {}
        for instruction, cause in zip(self.instructions, self.causes, strict=True):
            if cause:
                moved[cause] = moved.get(cause, 0) + instruction.beats * self.beat_bytes
        return moved

    def listing(self):
        """Readable assembly."""
        return format_program(self.instructions, self.labels)


def later_program(programs):
    """Of a run's programs, the name of the one for all runs but the first: `warm` where weights stay on the chip."""
    return "warm" if "warm" in programs else "cold"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A network compiled for one configuration.

    `programs`: `cold` reads everything from memory; `warm`, present where all weights fit the
    scratchpads at once, finds them there; `trace` is `cold` that also stores every map, at
    `trace_offsets` in the output region, to find the stage that goes wrong.
    """

    config: Config
    stages: tuple[StageInfo, ...]
    programs: dict[str, Program]
    image: np.ndarray = field(repr=False)  # uint8, the model region: parameters, weights, programs
    input: Transfer
    output: Transfer
    traces: tuple[Transfer, ...]  # every map that stages write, in the order in which they are complete
    trace_offsets: tuple[int, ...]  # byte offsets in the output region
    work_bytes: int  # bytes of the work region: maps that do not stay on chip
    batch: int = 1  # images of one run

    @property
    def macs(self):
        """Multiply-accumulates of one image."""
        return sum(stage.macs for stage in self.stages) // self.batch

    @property
    def trace_bytes(self):
        """Bytes that the trace program writes to the output region."""
        return max(offset + trace.bytes for offset, trace in zip(self.trace_offsets, self.traces, strict=True))

    @property
    def model(self):
        """What of the image a board needs: all but the trace program, which is its last part."""
        return self.image[: self.programs["trace"].offset]

    @property
    def trace_program(self):
        return self.image[self.programs["trace"].offset :]
