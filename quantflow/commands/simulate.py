"""`quantflow simulate`: real images on the generated Verilog, compared with the integer engine."""

import contextlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from quantflow.commands.console import JsonOption, add_row, console, errors, examples, printable, table, write_json
from quantflow.commands.tuned import load_built
from quantflow.datasets import load_dataset
from quantflow.errors import UserError
from quantflow.manifest import Manifest
from quantflow.wording import count, percent

NAME = "simulate"
EXAMPLES = examples(
    "quantflow simulate build/ --images test.npz --count 10",
    "quantflow simulate build/ --images test.npz --count 1 --waves-layer conv2",
    "quantflow simulate build/ --images test.npz --count 1 --waves-cycles 1000:3000",
)
COMPILING = "compiling the simulation, once for each machine"


class Simulator(StrEnum):
    """Simulators that run the generated Verilog."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


def run(
    build: Annotated[Path, typer.Argument(metavar="BUILD", help="Build folder.", show_default=False)],
    images: Annotated[
        Path, typer.Option(help="npz file: `x` float32 [N, C, H, W] as the model expects it.", show_default=False)
    ],
    number: Annotated[int | None, typer.Option("--count", help="Simulate the first images only.")] = None,
    waves: Annotated[
        bool, typer.Option("--waves", help="Record waves in BUILD/simulation/: of everything, which may be gigabytes.")
    ] = False,
    waves_layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Record waves while the first image is in this layer.")
    ] = None,
    waves_cycles: Annotated[
        str | None,
        typer.Option(metavar="FROM:TO", help="Record waves of these cycles, counted from the first image's start."),
    ] = None,
    simulator: Annotated[Simulator, typer.Option(help="Verilator is much faster.")] = Simulator.VERILATOR,
    json: JsonOption = None,
):
    """Simulate a build on images: bit-exact or not, cycles, utilization, layer by layer.

    The first image finds no weights on the chip; where they all fit, the later ones find them there.
    """
    window = (waves_layer, waves_cycles) if waves or waves_layer or waves_cycles else None
    test = load_dataset(images, Manifest.read(build).input.shape)
    quantized = load_built(build)
    result = simulate(build, test.images, number, simulator.value, window)
    figures = {**result.to_json(), "by_hand": list(quantized.by_hand)}
    write_json(json, figures)
    show(figures)
    if result.first_mismatch:
        errors.print(f"first mismatch: {result.first_mismatch}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def simulate(build, images, number=None, simulator="verilator", waves=None):
    """Run the simulation behind a progress bar; returns the SimulationResult.

    `waves` are the layer and the cycles, each None or as the command line has it, to which waves are limited.
    """
    try:
        from sim.inference import simulate as simulate_build
        from sim.machine import SimulationError
        from sim.waves import Window
    except ModuleNotFoundError as error:
        raise UserError(f"simulation needs {error.name}: pip install 'quantflow[simulate]'") from None
    window = Window.of(*waves) if waves else None
    try:
        with _progress() as report:
            return simulate_build(build, images, count=number, simulator=simulator, waves=window, progress=report)
    except SimulationError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _progress():
    """A bar of cycles with the layer under way and the time left; yields `report(cycles, cycles in all, what)`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[cycles]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(COMPILING, total=None, cycles="")

        def report(cycles, total, what):
            if cycles:  # nothing is simulated before it is compiled
                text = f"{count(cycles)} of {count(total)} cycles"
                bar.update(task, completed=cycles, total=total, description=printable(what), cycles=text)

        yield report


def show(figures):
    """Print the figures: one row a layer, then the whole inference."""
    rows = table("layer", "MACs", "cycles", "predicted", "utilization", "<bound by", "bytes moved")
    for layer in figures["layers"]:
        utilization = percent(layer["utilization"], 1) if layer["macs"] else ""
        cells = (count(layer["macs"]), count(layer["cycles"]), count(layer["predicted_cycles"]), utilization)
        add_row(rows, layer["name"], *cells, layer["bound"], count(sum(layer["bytes_moved"].values())))
    moved = sum(sum(layer["bytes_moved"].values()) for layer in figures["layers"])
    cycles = (count(figures["cycles_per_image"]), count(figures["predicted_cycles_per_image"]))
    whole = (count(figures["macs"]), *cycles, percent(figures["utilization"], 1), "", count(moved))
    add_row(rows, "whole inference", *whole)
    console.print(rows)
    right = figures["images"] - figures["mismatches"]
    console.print(
        f"bit-exact: {right} of {figures['images']} images; {figures['multipliers']} multipliers; "
        f"{count(figures['simulated_cycles_per_second'])} cycles simulated per second",
        highlight=False,
    )
