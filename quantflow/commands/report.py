"""`quantflow report`: one HTML page from the figures of tune, generate and simulate."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import console, examples, read_json, write_text
from quantflow.errors import UserError
from quantflow.report import render

NAME = "report"
EXAMPLES = examples("quantflow report tune.json generate.json simulate.json -o report.html --name LeNet-5")


def run(
    tuning: Annotated[Path, typer.Argument(help="What `tune --json` wrote.", show_default=False)],
    build: Annotated[Path, typer.Argument(help="What `generate --json` wrote.", show_default=False)],
    simulation: Annotated[Path, typer.Argument(help="What `simulate --json` wrote.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file.", show_default=False)],
    name: Annotated[str, typer.Option(help="The network's name, for the title.")] = "Network",
):
    """Write the report of a network: accuracy, fractional lengths, SQNR, cycles, configuration."""
    figures = {"tuning": read_json(tuning), "build": read_json(build), "simulation": read_json(simulation)}
    try:
        page = render(name=name, **figures)
    except (KeyError, TypeError, AttributeError) as error:
        order = "tune, generate and simulate, in this order"
        raise UserError(f"the JSON files are not those of {order}: {error}") from None
    write_text(output, page)
    console.print(f"report in {output}", markup=False, highlight=False)
