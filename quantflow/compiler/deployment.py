"""What the compiler hands over: programs, the model's memory image, the host's side of both."""

from dataclasses import dataclass, field

import numpy as np

from quantflow.compiler.assembly import format_program
from quantflow.compiler.transfer import Transfer
from quantflow.config import Config


@dataclass(frozen=True, kw_only=True)
class StageInfo:
    """A stage as reports name it."""

    name: str  # its layers, joined by "+"
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

    @property
    def length(self):
        return len(self.instructions)

    def listing(self):
        """Readable assembly."""
        return format_program(self.instructions, self.labels)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A network compiled for one configuration.

    `programs`: `cold` reads everything from memory; `warm`, present where all weights fit the
    scratchpads at once, finds them there; `trace` is `cold` storing every stage's output, at
    `trace_offsets` in the output region, to find the stage that goes wrong.
    """

    config: Config
    stages: tuple[StageInfo, ...]
    programs: dict[str, Program]
    image: np.ndarray = field(repr=False)  # uint8, the model region: programs, parameters, weights
    input: Transfer
    output: Transfer
    traces: tuple[Transfer, ...]  # every stage's output
    trace_offsets: tuple[int, ...]  # byte offsets in the output region

    @property
    def macs(self):
        return sum(stage.macs for stage in self.stages)

    @property
    def output_bytes(self):
        """Bytes of the output region, large enough for the trace program."""
        return max(self.trace_offsets[-1] + self.traces[-1].bytes, self.output.bytes)
