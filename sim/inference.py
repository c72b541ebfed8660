"""Run a build folder's network on images in simulation, and compare every output integer."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from quantflow import integer_engine, tuned_file
from quantflow.arithmetic import quantize
from quantflow.datasets import check_images
from quantflow.errors import UserError
from quantflow.manifest import TUNED, Manifest
from quantflow.prediction import SHARES, most_bytes_per_cycle
from quantflow.registers import COUNTERS
from sim.diagnosis import describe_difference
from sim.machine import Machine
from sim.timeline import Timeline


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """One stage of the machine: a layer, with the pooling fused behind it ("conv1+pool1"). Means over the images."""

    name: str
    layers: tuple[str, ...]  # of the network, that it computes
    cycles: float  # from the last retirement of the stage before to its own
    predicted_cycles: float
    macs: float
    utilization: float
    bound: str  # what most of the predicted cycles go by, see quantflow.prediction
    shares: dict[str, float]  # predicted cycles by quantflow.prediction.SHARES
    bytes_moved: dict[str, float]  # by cause


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """Figures of a simulation; cycles are means over the images, see `image_cycles` for each.

    A run computes one image, or a batch of them.
    """

    images: int
    mismatches: int  # images with a wrong output
    bit_exact: bool
    cycles_per_image: float
    predicted_cycles_per_image: float
    macs: int
    multipliers: int
    utilization: float  # MACs / (cycles x multipliers), loads and stores included
    bytes_per_cycle: float  # that the memory moves at most
    layers: tuple[LayerResult, ...]
    simulated_cycles_per_second: float
    image_cycles: tuple[int, ...]  # of each run: the first cold, the others warm where the weights stay on chip
    programs: tuple[str, ...]  # that were run
    counters: tuple[dict[str, int], ...]  # the machine's own, by register name, for each run
    timelines: dict[str, Timeline]  # of the first run of each program
    outputs: np.ndarray = field(repr=False)  # int32 [N, C, H, W]
    first_mismatch: str | None

    def to_json(self):
        """The figures under `quantflow simulate --json`'s keys."""
        values = {key: value for key, value in self.__dict__.items() if key != "outputs"}
        return values | {
            "layers": [asdict(layer) for layer in self.layers],
            "image_cycles": list(self.image_cycles),
            "programs": list(self.programs),
            "counters": list(self.counters),
            "timelines": {name: _timeline(timeline) for name, timeline in self.timelines.items()},
        }


def simulate(build_folder, images, *, count=None, simulator="verilator", waves=None, progress=None):
    """Run float `images` [N, C, H, W], or the first `count`, on the build folder's machine.

    The first run reads all weights; later ones find them on chip where they fit. A last batch that is
    not full is filled with its last image. Outputs are compared with the integer engine's.
    `progress(cycles, cycles in all, what is under way)` is called as the simulation goes on; the
    cycles in all are the predicted ones. `waves` is the sim.waves.Window to record of the first run.
    Raises UserError for a bad folder or images, SimulationError where the machine does not finish.
    The folder's `simulation/` keeps the log, and the waves (see sim.simulator.WAVES).
    """
    folder = Path(build_folder)
    manifest = Manifest.read(folder)
    quantized = tuned_file.load(folder / TUNED)
    integers = quantize(_selected(images, count, manifest), manifest.input.format)
    machine = Machine(folder, manifest, simulator=simulator, waves=waves)
    inputs = manifest.runs(integers)
    programs = ["cold"] + [manifest.later_program] * (len(inputs) - 1)
    runs = machine.run(inputs, programs, progress)
    outputs = np.stack([manifest.output.unpack(run.output) for run in runs])
    outputs = outputs.reshape(-1, *manifest.output.shape)[: len(integers)]
    last = quantized.network.layers[-1].name
    expected = integer_engine.run_integers(quantized, integers)[last]
    wrong = np.flatnonzero((outputs != expected).any(axis=(1, 2, 3)))
    first_mismatch = None
    if len(wrong):
        first = int(wrong[0])
        final = describe_difference(last, expected[first], outputs[first])
        run, number = divmod(first, manifest.batch)
        first_mismatch = f"image {first}: " + _first_wrong_layer(machine, quantized, inputs[run], number, final)
    return _result(manifest, programs, runs, outputs, len(wrong), first_mismatch)


def _selected(images, count, manifest):
    images = check_images(images, manifest.input.shape, "the array of images")
    if count is not None and count < 1:
        raise UserError(f"at least 1 image is simulated, not {count}")
    if len(images) < (count or 1):
        raise UserError(f"there are {len(images)} images, fewer than the {count} to simulate")
    return images[:count]


def _first_wrong_layer(machine, quantized, integers, number, final):
    """Run the program that stores every stage's map, on one run's `integers`; name image `number`'s first difference.

    `final` is what is known of it.
    """
    manifest = machine.manifest
    (run,) = machine.run([integers], ["trace"], work_folder="simulation-trace")
    image = integers.reshape(-1, *manifest.input.shape)[number]
    expected = integer_engine.run_integers(quantized, image[None], keep=True)
    for transfer, offset in zip(manifest.traces, manifest.trace_offsets, strict=True):
        if transfer.name not in expected or (transfer.images == 1 and transfer.image != number):
            continue  # a map that only the machine has, or another image's
        got = transfer.unpack(run.output[offset : offset + transfer.bytes]).reshape(-1, *transfer.shape)
        got = got[number if transfer.images > 1 else 0]
        difference = describe_difference(transfer.name, expected[transfer.name][0], got)
        if difference:
            return difference
    return f"{final}; run alone, with every layer's output stored, the same image is right"


def _result(manifest, programs, runs, outputs, mismatches, first_mismatch):
    cycles, batch = [run.result["cycles"] for run in runs], manifest.batch
    mean = _mean(cycles, batch)
    predicted = [manifest.programs[name].predicted for name in programs]
    layers = tuple(
        _layer(stage, [run.timeline.stage_cycles[n] for run in runs], [run[n] for run in predicted], manifest)
        for n, stage in enumerate(manifest.stages)
    )
    simulated = sum(run.result["simulated_cycles"] for run in runs)
    seconds = sum(run.result["seconds"] for run in runs)
    counters = [register.name.lower() for register in COUNTERS]
    return SimulationResult(
        images=len(outputs),
        mismatches=mismatches,
        bit_exact=mismatches == 0,
        cycles_per_image=mean,
        predicted_cycles_per_image=_mean([manifest.programs[name].estimated_cycles for name in programs], batch),
        macs=manifest.macs,
        multipliers=manifest.config.multipliers,
        utilization=manifest.macs / (mean * manifest.config.multipliers),
        bytes_per_cycle=most_bytes_per_cycle(manifest.config, manifest.memory),
        layers=layers,
        simulated_cycles_per_second=simulated / seconds,
        image_cycles=tuple(cycles),
        programs=tuple(programs),
        counters=tuple({name: run.result[name] for name in counters} for run in runs),
        timelines={name: runs[programs.index(name)].timeline for name in dict.fromkeys(programs)},
        outputs=outputs,
        first_mismatch=first_mismatch,
    )


def _layer(stage, cycles, predicted, manifest):
    """`cycles` and `predicted` (StagePredictions) of one stage, for each run."""
    batch = manifest.batch
    cycles, macs = _mean(cycles, batch), _mean([stage.macs], batch)
    shares = {share: _mean([getattr(run, share) for run in predicted], batch) for share in SHARES}
    causes = dict.fromkeys(cause for run in predicted for cause in run.bytes_moved)
    return LayerResult(
        name=stage.name,
        layers=stage.layers,
        cycles=cycles,
        predicted_cycles=_mean([run.cycles for run in predicted], batch),
        macs=macs,
        utilization=macs / (max(1, cycles) * manifest.config.multipliers),
        bound=max(SHARES, key=shares.get),
        shares=shares,
        bytes_moved={cause: _mean([run.bytes_moved.get(cause, 0) for run in predicted], batch) for cause in causes},
    )


def _timeline(timeline):
    """Cycles of a run, and its spans as [unit, number of the layer, start, end]."""
    spans = [[span.unit.name.lower(), span.stage, span.start, span.end] for span in timeline.merged()]
    return {"cycles": timeline.cycles, "spans": spans}


def _mean(numbers, batch=1):
    """Mean of runs' numbers over the images of all of them; an integer where it is one."""
    total, count = sum(numbers), len(numbers) * batch
    return total // count if total % count == 0 else total / count
