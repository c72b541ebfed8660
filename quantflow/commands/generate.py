"""`quantflow generate`: the accelerator of a board, with the network's program and memory image."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, progress, read_json, table, write_json
from quantflow.commands.tuned import load_tuned
from quantflow.compiler import compile_network, later_program
from quantflow.errors import UserError
from quantflow.wording import RESOURCES, count, percent

NAME = "generate"
EXAMPLES = examples(
    "quantflow generate tuned/ --board ulx3s-85f -o build/",
    "quantflow generate tuned/ --board zc706 --config machine.json -o build/",
    "quantflow generate tuned/ --board zc706 --config board -o build/",
    "quantflow boards",
)
OWN = "board"  # as --config: the machine in the board's file

ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE|board",
        help="The machine, instead of the fastest that fits: a JSON file with a configuration, or with those of its "
        "fields that differ from the board's own machine; `board` is that machine itself.",
        show_default=False,
    ),
]


def run(
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Folder of a tuned network.", show_default=False)],
    board: Annotated[
        str,
        typer.Option(
            help="Name of a board, or FILE.py of your own; `quantflow boards` lists them.", show_default=False
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUILD", help="Folder for the build.", show_default=False)
    ],
    config: ConfigOption = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Images of one run; fully connected layers compute them together.")
    ] = 1,
    json: JsonOption = None,
):
    """Generate Verilog, program, memory image, manifest and constraints for a board.

    The machine is the one that runs this network fastest in the board's part, by the cycle model and a model
    of what machines take of an FPGA.
    """
    figures = generate(load_tuned(tuned), board, output, batch, config)
    write_json(json, figures)
    show(figures)
    console.print(f"build in {output}; summary.txt there describes it", markup=False, highlight=False)


def generate(quantized, board_name, output, batch=1, config=None):
    """Compile `quantized` for a board and runs of `batch` images, and write the build folder; returns the figures.

    `config` is as --config has it; without it the fastest machine is chosen.
    """
    import boards
    from boards.project import write_project

    board, choice = _with_machine(quantized, boards.find(board_name), batch, config)
    with progress("generating"):
        figures = write_project(compile_network(quantized, board.config, batch), quantized, board, output)
    return {**figures, **_on_board(board, figures, choice), "by_hand": list(quantized.by_hand)}


def _with_machine(quantized, board, batch, config):
    """(the board with the machine asked for, how that was chosen or None)."""
    if config is not None:
        return board if config == OWN else configured(board, Path(config)), None
    from boards.sizing.choice import chosen_board

    with progress("choosing the machine") as report:
        return chosen_board(quantized, board, batch, report=report)


def configured(board, path):
    """The board with the configuration in a JSON file, or with those fields that the file has; UserError if illegal."""
    fields = read_json(path)
    known = asdict(board.config)
    if not isinstance(fields, dict):
        raise UserError(f"{path} is no configuration: it has to be an object with fields such as pixels and lanes")
    for name in fields:
        if name not in known:
            raise UserError(f"{path}: a configuration has no field {name}; it has {', '.join(known)}")
    try:
        return replace(board, config=replace(board.config, **fields))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


def _on_board(board, figures, choice):
    """What the machine gives and takes on its board, as a dict for JSON; estimates where the part's family is known."""
    from boards.sizing.limits import Limits
    from boards.sizing.model import estimate

    predicted = figures["predicted"][later_program(figures["predicted"])]
    used = estimate(board.config, board.part.family)
    if used is not None:
        used = Limits.of(board).with_memory(used, board.config, figures["memory_bytes"])
    seen = None if choice is None else {"looked_at": choice.looked_at, "of": choice.shapes, "complete": choice.complete}
    return {
        "clock_mhz": board.clock_mhz,
        "images_per_second": board.clock_mhz * 1e6 * figures["batch"] / predicted["cycles"],
        "resources": {"estimated": asdict(used) if used else {}, "available": asdict(board.resources)},
        "chosen": seen,
        "note": board.note,
    }


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
    add_row(rows, "images per second", f"{figures['images_per_second']:,.1f} at {figures['clock_mhz']:g} MHz")
    estimated, available = figures["resources"]["estimated"], figures["resources"]["available"]
    for name, number in estimated.items():
        share = f"{count(number)} of {count(available[name])}, estimated"
        add_row(rows, RESOURCES[name], f"{share}: MORE THAN THERE ARE" if number > available[name] else share)
    console.print(rows)
    if figures["chosen"]:
        console.print(_seen(figures["chosen"]), markup=False, highlight=False)
    if figures["note"]:
        console.print(f"note: {figures['note']}", markup=False, highlight=False)
    name = later_program(figures["predicted"])
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


def _seen(chosen):
    """How the machine was found, in words."""
    text = f"the fastest of {chosen['looked_at']} machines compiled; {chosen['of']} arrays have the part's multipliers"
    return text if chosen["complete"] else f"{text}, and some of those not compiled might be faster"
