"""`quantflow demo`: the whole way, with the embedded LeNet-5 and real digits."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow import lenet, tuned_file
from quantflow.commands.console import JsonOption, add_row, console, examples, table, write_json
from quantflow.commands.generate import generate
from quantflow.commands.report import write_report
from quantflow.commands.simulate import simulate
from quantflow.commands.tuning import tune_and_evaluate
from quantflow.datasets import Dataset
from quantflow.errors import UserError
from quantflow.importer import load_network
from quantflow.wording import count, fractional_lengths, percent

NAME = "demo"
EXAMPLES = examples("quantflow demo", "quantflow demo --images 50 --board zc706")
FOLDER = Path("build") / "demo"


def run(
    images: Annotated[int, typer.Option(min=1, help="Digits to simulate.")] = 10,
    board: Annotated[str | None, typer.Option(help="Name of a board; by default the open one.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the results.")] = FOLDER,
    json: JsonOption = None,
):
    """Tune the embedded LeNet-5, generate its accelerator, simulate real digits, write a report."""
    import boards

    calibration, scored = (Dataset(images=x, labels=y) for x, y in lenet.demo_images())
    if images > len(scored):
        raise UserError(f"the demonstration has {len(scored)} digits to simulate, not {images}")
    network = load_network(lenet.model_path())
    tuning = tune_and_evaluate(network, calibration, scored, output / "tuned")
    build = generate(tuned_file.load(output / "tuned"), board or boards.DEFAULT, output / "build")
    result = simulate(output / "build", scored.images[:images])
    figures = {"tuning": tuning, "build": build, "simulation": result.to_json()}
    write_report(output / "report.html", "LeNet-5", figures)
    write_json(output / "figures.json", figures)
    write_json(json, figures)
    _show(figures)
    console.print(f"report: {(output / 'report.html').resolve()}", markup=False, highlight=False, soft_wrap=True)
    if not result.bit_exact:
        console.print(f"first mismatch: {result.first_mismatch}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _show(figures):
    tuning, build, simulation = figures["tuning"], figures["build"], figures["simulation"]
    lengths = ", ".join(
        f"{layer['name']} {fractional_lengths(layer['weight_fl'])}/{layer['activation_fl']}"
        for layer in tuning["layers"]
    )
    rows = table("LeNet-5", "<figure", title=f"{build['board']}, {build['multipliers']} multipliers")
    add_row(rows, "accuracy, float", f"{percent(tuning['float_top1'])} of {tuning['images']:,} digits")
    add_row(rows, "accuracy, fixed point", percent(tuning["fixed_top1"]))
    add_row(rows, "fractional lengths, weights/outputs", lengths)
    cycles, estimated = simulation["cycles_per_image"], build["estimated_cycles"]
    add_row(rows, "cycles per image", f"{count(cycles)} (first image: {count(estimated)} estimated)")
    add_row(rows, "multiplier utilization", percent(simulation["utilization"], 1))
    right = simulation["images"] - simulation["mismatches"]
    add_row(rows, "bit-exact", f"{right} of {simulation['images']} images")
    console.print(rows)
