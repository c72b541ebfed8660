"""A build folder's machine, compiled for a simulator and run under sim/host.py."""

import json
import shutil
from dataclasses import dataclass

import numpy as np

from quantflow.errors import UserError
from quantflow.manifest import MODEL, TRACE, VERILOG
from sim.diagnosis import describe_stop
from sim.progress import Record, reported
from sim.simulator import WAVES, build
from sim.testbench import TOP, TRACE_FILE, memory_inputs, system_source
from sim.timeline import Timeline, read_timelines

LOG_FILE = "simulation.log"
# The machine's own watchdog fires later, so that units are still found in the act.
WATCHDOG_SHARE = 4
PAGE_BYTES = 4096


class SimulationError(Exception):
    """The simulated machine stopped or stands still; the message names unit and instruction."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One inference on the machine."""

    result: dict  # what sim/host.py reports
    output: bytes
    timeline: Timeline


class Machine:
    """A build folder's machine, compiled for the simulator."""

    def __init__(self, folder, manifest, *, simulator="verilator", waves=None, stalls=0):
        """`waves`: the sim.waves.Window to record of the first run; None for none.

        `stalls`: the share of cycles in which each channel of the memory stands still, at random.
        """
        if simulator not in WAVES:
            raise UserError(f"there is no simulator {simulator}; known are {', '.join(WAVES)}")
        self.folder, self.manifest = folder, manifest
        self.what = "image" if manifest.batch == 1 else "batch"  # of one run
        self.waves = waves.inputs(manifest) if waves else None
        try:
            accelerator = (folder / VERILOG).read_text()
            self.model, self.trace = ((folder / name).read_bytes() for name in (MODEL, TRACE))
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
        config = manifest.config
        self.memory = memory_inputs(manifest.memory, stalls)
        # Each port's part of the memory begins on a page of its own.
        self.stride = -(-manifest.simulated_bytes // (config.ports * PAGE_BYTES)) * PAGE_BYTES
        source = system_source(
            accelerator,
            PORTS=config.ports,
            DATA_WIDTH=config.port_bits,
            SIZE_BYTES=config.ports * self.stride,
            WATCHDOG_CYCLES=max(1, config.watchdog_cycles // WATCHDOG_SHARE),
        )
        self.built = build(source, top=TOP, simulator=simulator, waves=waves is not None, closed=True)

    def run(self, integers, programs, progress=None, *, work_folder="simulation"):
        """One run for each integer image [C, H, W], or batch [N, C, H, W], with the program of that name.

        The simulation's files, log and waves stay in `work_folder` of the build folder.
        """
        manifest, work = self.manifest, self.folder / work_folder
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        sizes = [manifest.trace_bytes if name == "trace" else manifest.output.bytes for name in programs]
        (work / "inputs.bin").write_bytes(b"".join(manifest.input.pack(image).tobytes() for image in integers))
        (work / MODEL).write_bytes(self.model)
        (work / TRACE).write_bytes(self.trace)
        (work / "job.json").write_text(json.dumps(self._job(programs, sizes)))
        self.waves = None  # no second run writes over them
        results_file = work / "results.jsonl"
        record = Record(
            work / TRACE_FILE,
            [manifest.programs[name] for name in programs],
            [stage.name for stage in manifest.stages],
            self.what,
        )
        with reported(record, progress):
            try:
                self.built.run("sim.host", folder=work, log=work / LOG_FILE)
            except SystemExit:
                raise SimulationError(_log_tail(work / LOG_FILE)) from None
        lines = results_file.read_text().splitlines() if results_file.exists() else []
        results = [json.loads(line) for line in lines]
        self._check(results, programs, work)
        outputs = (work / "outputs.bin").read_bytes()
        ends = np.cumsum([0, *sizes])
        timelines = read_timelines(work / TRACE_FILE, programs, results, manifest)
        return [
            Run(result=results[n], output=outputs[ends[n] : ends[n + 1]], timeline=timelines[n])
            for n in range(len(programs))
        ]

    def _job(self, programs, output_sizes):
        manifest = self.manifest
        runs = []
        for image, (name, size) in enumerate(zip(programs, output_sizes, strict=True)):
            program = manifest.programs[name]
            place = {
                "address": manifest.model_address + program.offset,
                "length": len(program.instructions),
            }
            runs.append({"image": image, "program": place, "output_bytes": size})
        return {
            "ports": {
                "ports": manifest.config.ports,
                "port_bytes": manifest.config.port_bytes,
                "stride": self.stride,
            },
            "memory": self.memory,
            "waves": self.waves,
            "identity": manifest.identity,
            "regions": manifest.regions(trace=programs == ["trace"]),
            "trace_address": manifest.model_address + manifest.programs["trace"].offset,
            "input_bytes": manifest.input.bytes,
            "runs": runs,
        }

    def _check(self, results, programs, work):
        if results and "identity" in results[0]:
            raise SimulationError(
                f"the machine's identity is {results[0]['identity']:#010x}, but the programs are for "
                f"{self.manifest.identity:#010x}: generate the build again"
            )
        for n, result in enumerate(results):
            if not result["finished"]:
                program = self.manifest.programs[programs[n]]
                raise SimulationError(f"{self.what} {n}, {programs[n]} program: " + describe_stop(result, program))
        if len(results) < len(programs):
            raise SimulationError(_log_tail(work / LOG_FILE))


def _log_tail(path):
    tail = path.read_text(errors="replace")[-2000:] if path.exists() else "no log"
    return f"the simulation ended early: {tail}"
