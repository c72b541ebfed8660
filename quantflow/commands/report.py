"""`quantflow report`: one HTML page from the figures of tune, generate, simulate and build."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import console, examples, read_json, write_text
from quantflow.errors import UserError
from quantflow.plotting import picture
from quantflow.report import drawings, render
from quantflow.report.earlier import PageFigures

NAME = "report"
EXAMPLES = examples(
    "quantflow report tune.json generate.json simulate.json -o report.html --name LeNet-5",
    "quantflow report tune.json generate.json simulate.json --routed build/bitstream/build.json -o report.html",
    "quantflow report tune.json generate.json simulate.json -o new.html --compare old.html --pictures pictures/",
)


def run(
    tuning: Annotated[Path, typer.Argument(help="What `tune --json` wrote.", show_default=False)],
    build: Annotated[Path, typer.Argument(help="What `generate --json` wrote.", show_default=False)],
    simulation: Annotated[Path, typer.Argument(help="What `simulate --json` wrote.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="HTML file.", show_default=False)],
    routed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What `build` wrote: bitstream/build.json of the build folder.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Earlier report to compare with; by default the one replaced.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write each plot there as an SVG file, too.")
    ] = None,
    name: Annotated[str, typer.Option(help="The network's name, for the title.")] = "Network",
):
    """Write the report of a network: accuracy, noise, cycles, resources and speed, beside those of the last report."""
    figures = {"tuning": read_json(tuning), "build": read_json(build), "simulation": read_json(simulation)}
    figures["routed"] = None if routed is None else read_json(routed)
    try:
        write_report(output, name, figures, compare)
        if pictures is not None:
            write_pictures(pictures, drawings(**figures))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        order = "tune, generate and simulate, in this order" + (", and build" if routed else "")
        raise UserError(f"the JSON files are not those of {order}: {error}") from None
    console.print(f"report in {output}", markup=False, highlight=False)


def write_report(output, name, figures, compare=None):
    """Write the page of `figures` to `output`, compared with the page `compare`, or else with the one replaced."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    write_text(output, render(name=name, **figures, earlier=_earlier(output, compare), date=date))


def write_pictures(folder, plots):
    """Write each plot to `folder` as NAME.svg."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from None
    for name, drawing in plots.items():
        write_text(folder / f"{name}.svg", picture(drawing))


def _earlier(output, compare):
    """The PageFigures of an earlier report; None where there is none, which is an error for one that was named."""
    try:
        found = PageFigures.of_page((compare or output).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        if compare is not None:
            raise UserError(f"{compare} cannot be read: {getattr(error, 'strerror', error)}") from None
        return None
    if compare is not None and found is None:
        raise UserError(f"{compare} carries no figures: only a page of `quantflow report` can be compared with")
    return found
