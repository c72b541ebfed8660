"""`quantflow generate`: the accelerator of a board, with the network's program and memory image."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, progress, table, write_json
from quantflow.commands.tuned import load_tuned
from quantflow.compiler import compile_network
from quantflow.wording import count, percent

NAME = "generate"
EXAMPLES = examples("quantflow generate tuned/ --board ulx3s-85f -o build/", "quantflow boards")


def run(
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Folder of a tuned network.", show_default=False)],
    board: Annotated[str, typer.Option(help="Name of a board; `quantflow boards` lists them.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUILD", help="Folder for the build.", show_default=False)
    ],
    batch: Annotated[
        int, typer.Option(min=1, help="Images of one run; fully connected layers compute them together.")
    ] = 1,
    json: JsonOption = None,
):
    """Generate Verilog, program, memory image, manifest and constraints for a board."""
    figures = generate(load_tuned(tuned), board, output, batch)
    write_json(json, figures)
    show(figures)
    console.print(f"build in {output}; summary.txt there describes it", markup=False, highlight=False)


def generate(quantized, board_name, output, batch=1):
    """Compile `quantized` for a board and runs of `batch` images, and write the build folder; returns the figures."""
    import boards
    from boards.project import write_project

    board = boards.find(board_name)
    with progress("generating"):
        figures = write_project(compile_network(quantized, board.config, batch), quantized, board, output)
    return {**figures, "by_hand": list(quantized.by_hand)}


def show(figures):
    """Print the figures as two columns, and what the cycle model says of each layer."""
    rows = table("figure", "value")
    config = figures["config"]
    array = f"{figures['multipliers']} ({config['pixels']} × {config['lanes']} × {config['lanes']})"
    add_row(rows, "board", figures["board"])
    add_row(rows, "multipliers", array)
    add_row(rows, "lines of Verilog", count(figures["verilog_lines"]))
    add_row(rows, "memory", f"{count(figures['memory_bytes'])} bytes")
    add_row(rows, "estimated cycles per image", count(figures["estimated_cycles"]))
    console.print(rows)
    name = "warm" if "warm" in figures["predicted"] else "cold"
    predicted = figures["predicted"][name]
    title = "Predicted, with the weights on chip" if name == "warm" else "Predicted"
    title += f", a run of {figures['batch']} images" if figures["batch"] > 1 else ""
    rows = table("layer", "MACs", "cycles", "utilization", "<bound by", "bytes moved", title=title)
    for layer in predicted["layers"]:
        utilization = percent(layer["utilization"], 1) if layer["macs"] else ""
        cells = (count(layer["macs"]), count(layer["cycles"]), utilization, layer["bound"])
        add_row(rows, layer["name"], *cells, count(sum(layer["bytes_moved"].values())))
    moved = sum(predicted["bytes_moved"].values())
    whole = (count(predicted["macs"]), count(predicted["cycles"]), percent(predicted["utilization"], 1))
    add_row(rows, "whole run", *whole, "", count(moved))
    console.print(rows)
