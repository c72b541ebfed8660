"""`quantflow run`: real images on a real board at the end of a serial line, compared with the integer engine."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from quantflow import integer_engine
from quantflow.arithmetic import quantize
from quantflow.classification import answers
from quantflow.commands.console import JsonOption, add_row, console, errors, examples, progress, table, write_json
from quantflow.commands.tuned import load_built
from quantflow.datasets import load_dataset
from quantflow.errors import UserError
from quantflow.manifest import Manifest
from quantflow.wording import count, percent

NAME = "run"
EXAMPLES = examples(
    "quantflow run build/ --port /dev/ttyUSB0 --images test.npz",
    "quantflow run build/ --port COM3 --images test.npz --count 100 --json run.json",
)


def run(
    build: Annotated[Path, typer.Argument(metavar="BUILD", help="Build folder.", show_default=False)],
    port: Annotated[str, typer.Option(help="Serial port of the board, such as /dev/ttyUSB0.", show_default=False)],
    images: Annotated[
        Path,
        typer.Option(help="npz file: `x` float32 [N, C, H, W]; `y` classes, if it has them.", show_default=False),
    ],
    number: Annotated[int | None, typer.Option("--count", min=1, help="Run the first images only.")] = None,
    baud: Annotated[
        int | None, typer.Option(min=1, help="Bits per second of the line.", show_default="the board's")
    ] = None,
    json: JsonOption = None,
):
    """Run images on a board that is connected by a serial line and loaded with the build's bitstream.

    Prints accuracy, time, the machine's own profile layer by layer, and whether every output integer is
    the integer engine's.
    """
    from boards.driver import LinkError, MachineError

    manifest = Manifest.read(build)
    dataset = load_dataset(images, manifest.input.shape)
    quantized, speed = load_built(build), baud or _baud(build)
    dataset = dataset if number is None else dataset.first(number)
    try:
        outputs, figures = _on_board(build, port, speed, dataset.images)
    except (LinkError, MachineError) as error:
        errors.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    integers = quantize(dataset.images, manifest.input.format)
    expected = integer_engine.run_integers(quantized, integers)[quantized.network.layers[-1].name]
    mismatches = int(np.count_nonzero((outputs != expected).any(axis=(1, 2, 3))))
    right = None if dataset.labels is None else int(np.count_nonzero(answers(outputs) == dataset.labels))
    figures = {
        "images": len(outputs),
        "right": right,
        "accuracy": None if right is None else right / len(outputs),
        "bit_exact": mismatches == 0,
        "mismatches": mismatches,
        **figures,
    }
    write_json(json, figures)
    show(figures)
    if mismatches:
        raise typer.Exit(1)


def _baud(build):
    """The speed of the board's serial line; UserError where it has none."""
    from boards.board import Board, OnChip

    board = Board.read(build)
    if not isinstance(board.system, OnChip):
        raise UserError(f"{board.name} has no serial link to the accelerator: docs/driver.md says how it is reached")
    return board.system.baud


def _on_board(build, port, baud, images):
    """The outputs of float images, and figures of their runs."""
    from boards.driver import Accelerator
    from boards.driver.serial_line import SerialLink

    with progress(f"loading the network over {port}"):
        try:
            link = SerialLink.open(port, baud)
        except ModuleNotFoundError as error:
            raise UserError(f"a serial line needs {error.name}: pip install 'quantflow[driver]'") from None
        accelerator = Accelerator.open(link, build)
    started = time.perf_counter()
    with progress("images") as report:
        outputs = accelerator.run(images, report)
    seconds = time.perf_counter() - started
    profile, batch = accelerator.profile(), accelerator.manifest.batch
    return outputs, {
        "seconds_per_image": seconds / len(images),  # most of them on the line
        "machine_seconds_per_image": profile.seconds / batch,
        "repeated_requests": link.repeated,
        "batch": batch,
        "profile": profile.to_json(),  # of the last run
    }


def show(figures):
    """Print the figures, and the last run's layers where the machine records them."""
    rows = table("figure", "value")
    profile, images = figures["profile"], figures["images"]
    if figures["right"] is not None:
        add_row(rows, "accuracy", f"{percent(figures['accuracy'])} of {count(images)} images")
    add_row(rows, "machine, per image", f"{1000 * figures['machine_seconds_per_image']:.3f} ms")
    add_row(rows, "with the serial line, per image", f"{1000 * figures['seconds_per_image']:.1f} ms")
    add_row(rows, "frames repeated on the line", count(figures["repeated_requests"]))
    console.print(rows)
    if profile["layers"] is not None:
        title = f"Last run, of {figures['batch']} images" if figures["batch"] > 1 else "Last run"
        rows = table("layer", "MACs", "cycles", "predicted", "utilization", title=title)
        for layer in profile["layers"]:
            utilization = percent(layer["utilization"], 1) if layer["macs"] else ""
            cells = (count(layer["macs"]), count(layer["cycles"]), count(layer["predicted_cycles"]), utilization)
            add_row(rows, layer["name"], *cells)
        add_row(rows, "whole run", "", count(profile["counters"]["cycles"]), "", "")
        console.print(rows)
    else:
        cycles = count(profile["counters"]["cycles"])
        console.print(f"last run: {cycles} cycles; the machine does not record its layers' shares", highlight=False)
    console.print(f"bit-exact: {images - figures['mismatches']} of {images} images", highlight=False)
