"""Run a build folder's network on images in simulation, and compare every output integer."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from quantflow import integer_engine, tuned_file
from quantflow.arithmetic import quantize
from quantflow.datasets import check_images
from quantflow.errors import UserError
from quantflow.manifest import TUNED, Manifest
from quantflow.registers import Register
from sim.diagnosis import describe_difference
from sim.machine import Machine


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """One stage of the machine: a layer, with the pooling fused behind it ("conv1+pool1")."""

    name: str
    cycles: float  # from the last retirement of the stage before to its own, mean over images
    macs: int
    utilization: float


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """Figures of a simulation; cycles are means over the images, see `image_cycles` for each."""

    images: int
    mismatches: int  # images with a wrong output
    bit_exact: bool
    cycles_per_image: float
    macs: int
    multipliers: int
    utilization: float  # MACs / (cycles x multipliers), loads and stores included
    layers: tuple[LayerResult, ...]
    simulated_cycles_per_second: float
    image_cycles: tuple[int, ...]  # the first cold, the others warm where the weights stay on chip
    counters: tuple[dict[str, int], ...]  # the machine's own, by register name, for each image
    outputs: np.ndarray  # int32 [N, C, H, W]
    first_mismatch: str | None

    def to_json(self):
        """The figures under `quantflow simulate --json`'s keys."""
        inner = ("image_cycles", "counters", "outputs", "first_mismatch")
        values = {key: value for key, value in self.__dict__.items() if key not in inner}
        return values | {"layers": [asdict(layer) for layer in self.layers]}


def simulate(build_folder, images, *, count=None, simulator="verilator", waves=False, progress=None):
    """Run float `images` [N, C, H, W], or the first `count`, on the build folder's machine.

    The first inference reads all weights; later ones find them on chip where they fit. Outputs
    are compared with the integer engine's. `progress(done, total)` is called as images finish.
    Raises UserError for a bad folder or images, SimulationError where the machine does not
    finish. The folder's `simulation/` keeps the log, and the waves (see sim.simulator.WAVES).
    """
    folder = Path(build_folder)
    manifest = Manifest.read(folder)
    quantized = tuned_file.load(folder / TUNED)
    integers = quantize(_selected(images, count, manifest), manifest.input.format)
    machine = Machine(folder, manifest, simulator=simulator, waves=waves)
    warm = "warm" if "warm" in manifest.programs else "cold"
    runs = machine.run(integers, ["cold"] + [warm] * (len(integers) - 1), progress)
    outputs = np.stack([manifest.output.unpack(run.output) for run in runs])
    last = quantized.network.layers[-1].name
    expected = integer_engine.run_integers(quantized, integers)[last]
    wrong = np.flatnonzero((outputs != expected).any(axis=(1, 2, 3)))
    first_mismatch = None
    if len(wrong):
        first = int(wrong[0])
        final = describe_difference(last, expected[first], outputs[first])
        first_mismatch = f"image {first}: " + _first_wrong_layer(machine, quantized, integers[first], final)
    return _result(manifest, runs, outputs, len(wrong), first_mismatch)


def _selected(images, count, manifest):
    images = check_images(images, manifest.input.shape, "the array of images")
    if count is not None and count < 1:
        raise UserError(f"at least 1 image is simulated, not {count}")
    if len(images) < (count or 1):
        raise UserError(f"there are {len(images)} images, fewer than the {count} to simulate")
    return images[:count]


def _first_wrong_layer(machine, quantized, integers, final):
    """Run the program that stores every stage's map; name the first difference from the engine."""
    manifest = machine.manifest
    (run,) = machine.run(integers[None], ["trace"], work_folder="simulation-trace")
    expected = integer_engine.run_integers(quantized, integers[None], keep=True)
    for transfer, offset in zip(manifest.traces, manifest.trace_offsets, strict=True):
        if transfer.name not in expected:  # a map that only the machine has
            continue
        got = transfer.unpack(run.output[offset : offset + transfer.bytes])
        difference = describe_difference(transfer.name, expected[transfer.name][0], got)
        if difference:
            return difference
    return f"{final}; run alone, with every layer's output stored, the same image is right"


def _result(manifest, runs, outputs, mismatches, first_mismatch):
    cycles = [run.result["cycles"] for run in runs]
    multipliers = manifest.config.multipliers
    mean = _mean(cycles)
    layers = tuple(
        _layer(stage, _mean(counts), multipliers)
        for stage, counts in zip(manifest.stages, zip(*(run.stage_cycles for run in runs), strict=True), strict=True)
    )
    simulated = sum(run.result["simulated_cycles"] for run in runs)
    seconds = sum(run.result["seconds"] for run in runs)
    counters = [register.name.lower() for register in Register if register >= Register.CYCLES]
    return SimulationResult(
        images=len(runs),
        mismatches=mismatches,
        bit_exact=mismatches == 0,
        cycles_per_image=mean,
        macs=manifest.macs,
        multipliers=multipliers,
        utilization=manifest.macs / (mean * multipliers),
        layers=layers,
        simulated_cycles_per_second=simulated / seconds,
        image_cycles=tuple(cycles),
        counters=tuple({name: run.result[name] for name in counters} for run in runs),
        outputs=outputs,
        first_mismatch=first_mismatch,
    )


def _layer(stage, cycles, multipliers):
    utilization = stage.macs / (max(1, cycles) * multipliers)
    return LayerResult(name=stage.name, cycles=cycles, macs=stage.macs, utilization=utilization)


def _mean(numbers):
    """Mean; an integer where it is one."""
    total, count = sum(numbers), len(numbers)
    return total // count if total % count == 0 else total / count
