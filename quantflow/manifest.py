"""The manifest of a build folder: what the host, real or simulated, must know about a build.

`boards/project.py` writes it as `manifest.json`; `sim/` and drivers read it. A build folder holds:

    manifest.json     this
    accelerator.v     the machine, top module `accelerator`
    model.bin         the model region of memory: programs, parameters, weights
    trace.bin         a program that stores every layer's map, by which simulations find a wrong one
    tuned/            the tuned network, for the integer engine that the outputs are compared with
    driver/           what a host needs to run it, in Python and in C99: docs/driver.md
    summary.txt       the same for people, and the board's constraints and scripts
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from quantflow.compiler.assembly import format_instruction
from quantflow.compiler.deployment import later_program
from quantflow.compiler.transfer import Transfer
from quantflow.config import Config
from quantflow.cycles.memory import MemoryTiming
from quantflow.errors import UserError
from quantflow.isa import Opcode, Unit
from quantflow.registers import identity
from quantflow.stage_prediction import StagePrediction

MANIFEST, VERILOG, MODEL, TRACE = "manifest.json", "accelerator.v", "model.bin", "trace.bin"
TUNED, SUMMARY = "tuned", "summary.txt"
FORMAT, VERSION = "quantflow build", 3
ALIGNMENT = 256  # bytes; of regions, so that none shares a beat or a cache line with another


@dataclass(frozen=True, kw_only=True)
class InstructionRecord:
    """One instruction as people read it."""

    unit: str  # the unit that performs it: load, compute or store
    stage: int  # index of the stage that it serves
    text: str  # disassembly
    label: str  # what it is for


@dataclass(frozen=True, kw_only=True)
class ProgramRecord:
    """One program of the model region."""

    offset: int  # byte offset from the model region's start; the trace program lies behind all regions
    predicted: tuple[StagePrediction, ...]  # for each stage, on the board's memory
    instructions: tuple[InstructionRecord, ...]

    @property
    def estimated_cycles(self):
        return sum(stage.cycles for stage in self.predicted)

    def of_unit(self, unit):
        """(index in the program, record) of one unit's instructions, in order."""
        return [(n, record) for n, record in enumerate(self.instructions) if record.unit == unit]

    def stage_cycles(self, retired, end):
        """Cycles of each stage of a run, from the last retirement of the stage before to its own.

        `retired` are the cycles from the run's start in which the compute instructions retired, `end` the
        cycles of the whole run: the first stage begins with it and the last ends with it.
        """
        ends = [0] * len(self.predicted)
        for (_, record), cycle in zip(self.of_unit("compute"), retired, strict=True):
            ends[record.stage] = cycle
        ends[-1] = end
        return tuple(after - before for before, after in zip([0, *ends[:-1]], ends, strict=True))


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One stage of the machine: a layer, with what is fused to it, for one or for all images of a batch."""

    name: str
    layers: tuple[str, ...]
    macs: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """See the module. Addresses are bytes from the start of the memory that a build uses."""

    board: str
    clock_mhz: int
    config: Config
    memory: MemoryTiming  # that the estimates assume, and simulations apply
    identity: int  # of the configuration, as the machine's register shows it
    model_address: int
    input_address: int
    output_address: int
    work_address: int  # of the maps that do not stay on chip
    memory_bytes: int  # all four regions
    trace_output_address: int  # behind them and the trace program, that boards do without: its output region
    programs: dict[str, ProgramRecord]  # cold, trace, and warm where all weights stay on chip
    stages: tuple[StageRecord, ...]
    input: Transfer
    output: Transfer
    traces: tuple[Transfer, ...]  # every map, as the trace program stores them
    trace_offsets: tuple[int, ...]  # bytes in the output region
    batch: int  # images of one run

    @property
    def macs(self):
        """Multiply-accumulates of one image."""
        return sum(stage.macs for stage in self.stages) // self.batch

    @property
    def later_program(self):
        """The name of the program of all runs but the first."""
        return later_program(self.programs)

    @property
    def cycles_per_image(self):
        """Cycles that the cycle model predicts for an image, with the weights on chip where they stay there."""
        return -(-self.programs[self.later_program].estimated_cycles // self.batch)

    @property
    def simulated_bytes(self):
        """Bytes of memory with the trace program and what it stores."""
        return self.trace_output_address + _aligned(self.trace_bytes)

    def regions(self, *, trace=False):
        """(address, bytes) of each isa.Region, for the trace program or for the others."""
        output = (self.trace_output_address, self.trace_bytes) if trace else (self.output_address, self.output.bytes)
        return (
            (self.model_address, self.input_address - self.model_address),
            (self.input_address, self.input.bytes),
            output,
            (self.work_address, self.memory_bytes - self.work_address),
        )

    def runs(self, integers):
        """Integer images [N, C, H, W] as runs take them: each one, or batches, the last one filled with its last."""
        if self.batch == 1:
            return list(integers)
        filled = np.concatenate([integers, np.repeat(integers[-1:], -len(integers) % self.batch, axis=0)])
        return list(filled.reshape(-1, self.batch, *integers.shape[1:]))

    @property
    def trace_bytes(self):
        return max(offset + trace.bytes for offset, trace in zip(self.trace_offsets, self.traces, strict=True))

    @classmethod
    def of(cls, deployment, board):
        """The manifest of a Deployment on a board (anything with name, clock_mhz and memory)."""
        input_address = _aligned(len(deployment.model))
        output_address = input_address + _aligned(deployment.input.bytes)
        work_address = output_address + _aligned(deployment.output.bytes)
        whole = memory_bytes(deployment)
        trace_output_address = whole + _aligned(len(deployment.trace_program))
        programs = {name: _program(deployment, name, board.memory) for name in deployment.programs}
        programs["trace"] = replace(programs["trace"], offset=whole)
        return cls(
            board=board.name,
            clock_mhz=board.clock_mhz,
            config=deployment.config,
            memory=board.memory,
            identity=identity(deployment.config),
            model_address=0,
            input_address=input_address,
            output_address=output_address,
            work_address=work_address,
            memory_bytes=whole,
            trace_output_address=trace_output_address,
            programs=programs,
            stages=tuple(
                StageRecord(name=stage.name, layers=tuple(stage.layers), macs=int(stage.macs))
                for stage in deployment.stages
            ),
            input=deployment.input,
            output=deployment.output,
            traces=tuple(deployment.traces),
            trace_offsets=tuple(deployment.trace_offsets),
            batch=deployment.batch,
        )

    def write(self, folder):
        values = {"format": FORMAT, "version": VERSION, **asdict(self)}
        # numpy's integers are not JSON's.
        (Path(folder) / MANIFEST).write_text(json.dumps(values, indent=1, default=int) + "\n")

    @classmethod
    def read(cls, folder):
        """The manifest of a build folder; UserError where there is none, or of another version."""
        path = Path(folder) / MANIFEST
        try:
            values = json.loads(path.read_text())
        except FileNotFoundError:
            raise UserError(f"{folder} is no build folder: it has no {MANIFEST}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise UserError(f"{path} does not describe a quantflow build")
        if values.pop("version", None) != VERSION:
            raise UserError(f"{path} was written by another version of quantflow: generate it again")
        try:
            return cls._from_json(values)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}): generate it again") from None

    @classmethod
    def _from_json(cls, values):
        programs = {
            name: ProgramRecord(
                offset=program["offset"],
                predicted=tuple(StagePrediction(**stage) for stage in program["predicted"]),
                instructions=tuple(InstructionRecord(**i) for i in program["instructions"]),
            )
            for name, program in values["programs"].items()
        }
        stages = tuple(StageRecord(**{**stage, "layers": tuple(stage["layers"])}) for stage in values["stages"])
        converted = {
            "config": Config(**values["config"]),
            "memory": MemoryTiming(**values["memory"]),
            "programs": programs,
            "stages": stages,
            "input": Transfer.from_json(values["input"]),
            "output": Transfer.from_json(values["output"]),
            "traces": tuple(Transfer.from_json(trace) for trace in values["traces"]),
            "trace_offsets": tuple(values["trace_offsets"]),
        }
        return cls(**{**values, **converted})


def predicted_figures(manifest, name):
    """What the cycle model says of a program and of each of its stages, as a dict for JSON."""
    stages, multipliers = manifest.programs[name].predicted, manifest.config.multipliers
    layers = [
        {
            "name": record.name,
            "macs": record.macs,
            **asdict(stage),
            "utilization": record.macs / (max(1, stage.cycles) * multipliers),
            "bound": stage.bound,
        }
        for record, stage in zip(manifest.stages, stages, strict=True)
    ]
    macs, cycles = sum(layer["macs"] for layer in layers), sum(stage.cycles for stage in stages)
    moved = {}
    for stage in stages:
        for cause, count in stage.bytes_moved.items():
            moved[cause] = moved.get(cause, 0) + count
    return {
        "cycles": cycles,
        "macs": macs,
        "utilization": macs / (cycles * multipliers),
        "bytes_moved": moved,
        "layers": layers,
    }


def _program(deployment, name, timing):
    from quantflow.prediction import predict  # which reading a manifest, on a board say, does without

    program = deployment.programs[name]
    records = tuple(
        InstructionRecord(
            unit=Unit(instruction.opcode - Opcode.LOAD).name.lower(),
            stage=stage,
            text=format_instruction(instruction),
            label=label,
        )
        for instruction, label, stage in zip(program.instructions, program.labels, program.stages, strict=True)
    )
    predicted = predict(deployment, timing, name)
    return ProgramRecord(offset=program.offset, predicted=predicted, instructions=records)


def memory_bytes(deployment):
    """Bytes of all four regions of a Deployment: model, input, output, maps that do not stay on chip."""
    sizes = (len(deployment.model), deployment.input.bytes, deployment.output.bytes, deployment.work_bytes)
    return sum(map(_aligned, sizes))


def _aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT
