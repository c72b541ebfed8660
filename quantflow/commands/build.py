"""`quantflow build`: the bitstream of a build folder, by the open tools."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quantflow.commands.console import JsonOption, add_row, console, errors, examples, printable, table, write_json
from quantflow.wording import count

NAME = "build"
EXAMPLES = examples(
    "quantflow build build/",
    "quantflow build build/ --clock 62 --seeds 4",
    "quantflow build build/ --json figures.json",
)
MISSED = 1  # exit code


def run(
    build: Annotated[Path, typer.Argument(metavar="BUILD", help="Build folder.", show_default=False)],
    clock: Annotated[
        float | None,
        typer.Option(metavar="MHZ", min=1, help="Clock asked for, instead of the board's.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the placement.")] = 1,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Try so many seeds, --seed and up, and keep the fastest.")
    ] = 1,
    force: Annotated[
        bool, typer.Option("--force", help="Make the bitstream even where timing is missed; it may not work.")
    ] = False,
    json: JsonOption = None,
):
    """Synthesize, place, route and pack a build for its board; BUILD/bitstream/ holds what comes out.

    Needs the open tools: `pip install "quantflow[build]"`. Where the clock asked for is missed there is
    no bitstream and the exit code is 1: the slowest path and a clock that can be met are named, and logs
    and reports lie in BUILD/failed/.
    """
    from boards.flow.build import build as build_bitstream

    with stages() as report:
        figures = build_bitstream(
            build, clock_mhz=clock, seeds=tuple(range(seed, seed + seeds)), force=force, report=report
        )
    write_json(json, figures)
    show(figures)
    if figures["bitstream"]:
        console.print(f"{build / 'bitstream' / figures['bitstream']}", markup=False, highlight=False, soft_wrap=True)
    if not figures["met"]:
        errors.print(f"error: {figures['advice']}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        if not force:
            raise typer.Exit(MISSED)


@contextlib.contextmanager
def stages():
    """A line for each stage on the error console; yields `report(stage, share done, what)`."""
    text, what = TextColumn("{task.description}"), TextColumn("{task.fields[what]}", markup=False)
    with Progress(SpinnerColumn(), text, BarColumn(), TimeElapsedColumn(), what, console=errors) as bars:
        tasks = {}

        def report(stage, share, what):
            if stage not in tasks:
                finish()
                tasks[stage] = bars.add_task(stage, total=None, what="")
            changes = {} if share is None else {"completed": share, "total": 1.0}
            bars.update(tasks[stage], what=printable(what), **changes)

        def finish():
            for task in tasks.values():
                bars.update(task, completed=1, total=1, what="")

        yield report
        finish()


def show(figures):
    """Print the figures: clock, images, resources, path, time."""
    rows = table("figure", "value")
    add_row(rows, "board", figures["board"])
    add_row(rows, "clock asked for", f"{figures['clock_mhz_asked']:g} MHz")
    add_row(rows, "clock that the PLL gives", f"{figures['clock_mhz']:g} MHz")
    met = "met" if figures["met"] else "MISSED"
    add_row(rows, "clock that the routed design allows", f"{figures['fmax_mhz']:.2f} MHz, {met}")
    if len(figures["seeds"]) > 1:
        each = ", ".join(f"{run['seed']}: {run['fmax_mhz']:.2f}" for run in figures["seeds"])
        add_row(rows, "MHz of each seed", each)
    add_row(rows, "cycles per image, predicted", count(figures["cycles_per_image"]))
    if figures["images_per_second"] is not None:
        add_row(rows, "images per second", f"{figures['images_per_second']:,.1f}")
    if figures["bitstream"]:
        add_row(rows, "bitstream", f"{count(figures['bitstream_bytes'])} bytes")
    console.print(rows)
    used, available = figures["resources"]["used"], figures["resources"]["available"]
    rows = table("resource", "used", "available", "share")
    for name, number in used.items():
        share = f"{100 * number / available[name]:.0f} %" if available[name] else ""
        add_row(rows, name.replace("_", " "), count(number), count(available[name]), share)
    console.print(rows)
    tools = ", ".join(f"{name} {version}" for name, version in figures["tools"].items())
    seconds = ", ".join(f"{stage} {spent:.0f} s" for stage, spent in figures["seconds"].items())
    lines = [f"slowest path: {figures['critical_path_words']}", seconds, tools]
    if figures["note"]:
        lines.append(f"note: {figures['note']}")
    console.print("\n".join(lines), markup=False, highlight=False)
