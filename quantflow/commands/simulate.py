"""`quantflow simulate`: real images on the generated Verilog, compared with the integer engine."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, errors, examples, progress, table, write_json
from quantflow.commands.tuned import load_built
from quantflow.datasets import load_dataset
from quantflow.errors import UserError
from quantflow.manifest import Manifest
from quantflow.wording import count, percent

NAME = "simulate"
EXAMPLES = examples(
    "quantflow simulate build/ --images test.npz --count 10",
    "quantflow simulate build/ --images test.npz --count 1 --waves",
)


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
    waves: Annotated[bool, typer.Option("--waves", help="Record waves in BUILD/simulation/.")] = False,
    simulator: Annotated[Simulator, typer.Option(help="Verilator is much faster.")] = Simulator.VERILATOR,
    json: JsonOption = None,
):
    """Simulate a build on images: bit-exact or not, cycles, utilization, layer by layer.

    The first image finds no weights on the chip; where they all fit, the later ones find them there.
    """
    test = load_dataset(images, Manifest.read(build).input.shape)
    quantized = load_built(build)
    result = simulate(build, test.images, number, simulator.value, waves)
    figures = {**result.to_json(), "by_hand": list(quantized.by_hand)}
    write_json(json, figures)
    show(figures)
    if result.first_mismatch:
        errors.print(f"first mismatch: {result.first_mismatch}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def simulate(build, images, number=None, simulator="verilator", waves=False):
    """Run the simulation behind a progress bar; returns the SimulationResult."""
    try:
        from sim.inference import simulate as simulate_build
        from sim.machine import SimulationError
    except ModuleNotFoundError as error:
        raise UserError(f"simulation needs {error.name}: pip install 'quantflow[simulate]'") from None
    try:
        with progress("simulating (the first time, the simulation is compiled)") as report:
            return simulate_build(build, images, count=number, simulator=simulator, waves=waves, progress=report)
    except SimulationError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def show(figures):
    """Print the figures: one row a layer, then the whole inference."""
    rows = table("layer", "MACs", "cycles", "utilization")
    for layer in figures["layers"]:
        utilization = percent(layer["utilization"], 1) if layer["macs"] else ""
        add_row(rows, layer["name"], count(layer["macs"]), count(layer["cycles"]), utilization)
    total = (count(figures["macs"]), count(figures["cycles_per_image"]), percent(figures["utilization"], 1))
    add_row(rows, "whole inference", *total)
    console.print(rows)
    right = figures["images"] - figures["mismatches"]
    console.print(
        f"bit-exact: {right} of {figures['images']} images; {figures['multipliers']} multipliers; "
        f"{count(figures['simulated_cycles_per_second'])} cycles simulated per second",
        highlight=False,
    )
