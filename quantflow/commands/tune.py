"""`quantflow tune`: choose fractional lengths, round, and say what it costs."""

import time
from pathlib import Path
from typing import Annotated

import typer

from quantflow import tuned_file
from quantflow.commands.console import JsonOption, add_row, console, examples, progress, table, write_json
from quantflow.datasets import load_dataset
from quantflow.evaluate import evaluate
from quantflow.importer import load_network
from quantflow.tables import CHOICES, NOISE, accuracy, choice_cells, noise_cells
from quantflow.tune import tune
from quantflow.wording import decibels

NAME = "tune"
EXAMPLES = examples(
    "quantflow tune lenet.onnx --calibration train.npz --evaluate test.npz -o tuned/",
    "quantflow tune lenet.onnx --calibration train.npz --weight-bits 4 --per-channel -o tuned4/ --json tuned4.json",
    "quantflow tune lenet.onnx --calibration train.npz --method paper -o paper/",
)


def run(
    model: Annotated[Path, typer.Argument(help="ONNX file.", show_default=False)],
    calibration: Annotated[
        Path,
        typer.Option(
            help="npz file: `x` float32 [N, C, H, W] as the model expects it. A few hundred images suffice.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TUNED", help="Folder for the tuned network.", show_default=False)
    ],
    evaluate_on: Annotated[
        Path | None,
        typer.Option("--evaluate", help="npz file: `x`, and labels `y` for accuracy. Otherwise the calibration set."),
    ] = None,
    activation_bits: Annotated[int, typer.Option(help="Bits of every feature map, 2 to 16.")] = 8,
    weight_bits: Annotated[int, typer.Option(help="Bits of every weight, 2 to 16.")] = 8,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="default: by the error at each layer's output, with compensated rounding and bias correction; "
            "paper: Qiu et al. (FPGA 2016), absolute error; max: nothing overflows; mse: squared error. "
            "Below 8 weight bits default is far better than the others.",
        ),
    ] = "default",
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="One weight fractional length per output channel, not per layer.")
    ] = False,
    json: JsonOption = None,
):
    """Tune a network: choose fractional lengths layer by layer, and round."""
    network = load_network(model)
    images = load_dataset(calibration, network.input_shape)
    test = images if evaluate_on is None else load_dataset(evaluate_on, network.input_shape)
    bits = {"activation_bits": activation_bits, "weight_bits": weight_bits}
    choice = {"method": method, "per_channel": per_channel}
    figures = {**choice, **tune_and_evaluate(network, images, test, output, **bits, **choice)}
    write_json(json, figures)
    show(figures)
    console.print(f"tuned network in {output}", markup=False, highlight=False)


def tune_and_evaluate(network, calibration, test, output, **options):
    """Tune on the Dataset `calibration`, evaluate on `test`, save to the folder `output`: figures for JSON."""
    start = time.perf_counter()
    with progress(f"tuning on {len(calibration):,} images") as report:
        quantized = tune(network, calibration.images, **options, progress=report)
    seconds = time.perf_counter() - start
    with progress(f"evaluating on {len(test):,} images") as report:
        values = evaluate(quantized, test.images, test.labels, progress=report).to_json()
    tuned_file.save(quantized, output)
    return {**values, "seconds": seconds}


def show(figures):
    """Print the figures: one row a layer, what the steps gained where that is known, then accuracy."""
    console.print(layer_table(figures))
    if any(layer.get("steps") for layer in figures["layers"]):
        console.print(step_table(figures["layers"]))
    console.print(f"{accuracy(figures)}; tuned in {figures['seconds']:.1f} s", highlight=False)


def layer_table(figures):
    """One row a layer, the network's input first: weights, output, accumulator, noise."""
    rows = table("layer", *CHOICES, *NOISE)
    for layer in (figures["input"], *figures["layers"]):
        add_row(rows, layer["name"], *choice_cells(layer), *noise_cells(layer))
    return rows


def step_table(layers):
    """One row a layer: what each step left of the noise at its output, in decibels below the float output."""
    steps = list(dict.fromkeys(step for layer in layers for step in layer.get("steps") or ()))
    rows = table("SQNR after", *steps, title="\nWhat each step gives at the layer's output")
    for layer in layers:
        if layer.get("steps"):
            add_row(rows, layer["name"], *(decibels(layer["steps"].get(step)) for step in steps))
    return rows
