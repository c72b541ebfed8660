"""`quantflow explore`: how fast a network runs on the machines that a board's part has room for, and what they take."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, progress, table, write_bytes, write_json
from quantflow.commands.tuned import load_tuned
from quantflow.errors import UserError
from quantflow.wording import count

NAME = "explore"
EXAMPLES = examples(
    "quantflow explore tuned/ --board zc706",
    "quantflow explore tuned/ --board ulx3s-85f --plot field.svg --json field.json",
    "quantflow explore tuned/ --board zc706 --cluster tcp://10.0.0.1:8786",
)
ROWS = 20
PLOTS = (".svg", ".png", ".html")


def run(
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Folder of a tuned network.", show_default=False)],
    board: Annotated[
        str, typer.Option(help="A board that `quantflow boards` lists, or FILE.py of your own.", show_default=False)
    ],
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture of the field: .svg, .png or .html.", show_default=False)
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers share the work.", show_default=False),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images of one run.")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="List every machine that was compiled.")] = False,
    json: JsonOption = None,
):
    """Explore the machines for a network on a board: images per second against resources.

    The table has the fastest of the Pareto set, to which no machine belongs that another one beats: as fast and
    as small in everything, and better in something. All figures are those of the cycle model and of the resource
    model; --json has every machine that was compiled.
    """
    import boards
    from boards.sizing.field import explore

    if plot is not None and plot.suffix.lower() not in PLOTS:
        raise UserError(f"{plot}: a picture's name ends in {', '.join(PLOTS[:-1])} or {PLOTS[-1]}")
    quantized, board = load_tuned(tuned), boards.find(board)
    with progress("exploring") as report:
        machines = explore(quantized, board, batch, cluster=cluster, report=report)
    figures = {
        "network": quantized.network.name,
        "board": board.name,
        "clock_mhz": board.clock_mhz,
        "batch": batch,
        "available": vars(board.resources),
        "machines": [machine.to_json() for machine in machines],
    }
    write_json(json, figures)
    show(figures, everything)
    if plot is not None:
        from quantflow.field_plot import field_picture

        write_bytes(plot, field_picture(figures, plot.suffix.lower()))
        console.print(f"picture in {plot}", markup=False, highlight=False)


def show(figures, everything):
    """Print the field as a table, the fastest machine first; without `everything` the first ROWS of the Pareto set."""
    title = f"{figures['network']} on {figures['board']} at {figures['clock_mhz']:g} MHz"
    rows = table("P × I × O", "R", "port", "cycles", "images/s", "LUT", "DSP", "block RAM", "<", title=title)
    best = [machine for machine in figures["machines"] if machine["pareto"]]
    for machine in figures["machines"] if everything else best[:ROWS]:
        config, used = machine["config"], machine["resources"]
        add_row(
            rows,
            f"{config['pixels']} × {config['lanes']} × {config['lanes']}",
            config["requantizers"],
            f"{config['ports']} × {config['port_bits']}",
            count(round(machine["cycles"])),
            f"{machine['images_per_second']:,.1f}",
            *(count(used[name]) for name in ("lut", "dsp", "block_ram")),
            "" if machine["pareto"] else "beaten",
        )
    console.print(rows)
    available = figures["available"]
    console.print(
        f"{len(best)} of {len(figures['machines'])} machines that fit are in the Pareto set; the part has "
        f"{count(available['lut'])} LUT, {count(available['dsp'])} DSP, {count(available['block_ram'])} block RAM",
        markup=False,
        highlight=False,
    )
