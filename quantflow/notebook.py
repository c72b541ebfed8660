"""The whole way in a notebook: `from quantflow import load, tune, simulate`.

Each takes what the one before gives, or the name of a file or folder in its place, shows its progress, and gives
an object that a notebook shows as a table.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from quantflow import tuned_file
from quantflow.commands.console import progress
from quantflow.datasets import load_dataset
from quantflow.errors import UserError
from quantflow.importer import load_network
from quantflow.representation import Represented
from quantflow.tuner.tune import tune as tune_network
from quantflow.wording import count, percent


def load(path):
    """An ONNX file as a Network, or the folder of a tuned network as a QuantizedNetwork."""
    return tuned_file.load(path) if Path(path).is_dir() else load_network(path)


def tune(network, images, **options):
    """The QuantizedNetwork of a Network, or of an ONNX file, for calibration `images`.

    `images` are float [N, C, H, W], or an npz file with them as `x`; `options` are those of
    `quantflow.tuner.tune.tune`: weight_bits, activation_bits, method, per_channel and more.
    """
    network = load_network(network) if isinstance(network, str | Path) else network
    with progress("tuning") as report:
        return tune_network(network, _images(images, network), **{"progress": report, **options})


def simulate(quantized, images, board=None, *, number=None, folder=None, simulator="verilator"):
    """Run images on the simulated accelerator of a tuned network: a Simulation.

    `quantized` is a QuantizedNetwork or its folder, `images` are as for `tune`, of which the first `number` are
    taken; `board` is a board's name, by default the open one, or a Board. The build folder is kept where `folder`
    names one; `simulator` is "verilator" or "icarus". Raises UserError for what the machine does not compute,
    SimulationError where it does not finish.
    """
    quantized = tuned_file.load(quantized) if isinstance(quantized, str | Path) else quantized
    images = _images(images, quantized.network)
    try:  # here alone: quantflow does without the gateware
        import boards
        from boards.project import write_project
        from quantflow.compiler import compile_network
        from sim.inference import simulate as simulate_build
    except ModuleNotFoundError as error:
        raise UserError(f"simulation needs {error.name}: pip install 'quantflow[simulate]'") from None
    board = boards.find(board or boards.DEFAULT) if not isinstance(board, boards.Board) else board
    with tempfile.TemporaryDirectory() as temporary, progress("simulating (compiled first)") as report:
        build = Path(temporary) / "build" if folder is None else Path(folder)
        write_project(compile_network(quantized, board.config), quantized, board, build)
        result = simulate_build(build, images, count=number, simulator=simulator, progress=report)
    return Simulation(
        network=quantized.network.name,
        board=board.name,
        figures=result.to_json(),
        outputs=result.outputs,
        first_mismatch=result.first_mismatch,
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Simulation(Represented):
    """What `simulate` found; true where all images are bit-exact."""

    network: str
    board: str
    figures: dict  # those of `quantflow simulate --json`
    outputs: np.ndarray = field(repr=False)  # int32 [N, C, H, W]
    first_mismatch: str | None  # the layer, the place and both values, where there is one

    def __bool__(self):
        return self.figures["bit_exact"]

    def _table(self):
        figures = self.figures
        right = figures["images"] - figures["mismatches"]
        title = f"{self.network} on {self.board}: bit-exact {right} of {figures['images']} images"
        if self.first_mismatch:
            title += f"; first mismatch: {self.first_mismatch}"
        layers = [
            [layer["name"], *_cells(layer["macs"], layer["cycles"], layer["utilization"] if layer["macs"] else None)]
            for layer in figures["layers"]
        ]
        total = _cells(figures["macs"], figures["cycles_per_image"], figures["utilization"])
        return title, ["layer", "MACs", "cycles", "utilization"], [*layers, ["whole inference", *total]]


def _cells(macs, cycles, utilization):
    return [count(macs), count(cycles), percent(utilization, 1)]


def _images(images, network):
    return load_dataset(images, network.input_shape).images if isinstance(images, str | Path) else images
