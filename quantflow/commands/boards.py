"""`quantflow boards`: the boards that a build can be made for."""

from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, table, write_json
from quantflow.wording import count

NAME = "boards"
TITLE = "Each board's own machine, from which `generate` sets out, and what its part has"
EXAMPLES = examples(
    "quantflow boards",
    "quantflow boards --json boards.json",
    "quantflow boards --source ulx3s-85f > my_board.py",
    "quantflow generate tuned/ --board ./my_board.py -o build/",
)


def run(
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Print a board's file instead, to begin one of your own with."),
    ] = None,
    json: JsonOption = None,
):
    """List the known boards, the machine in each one's file, and what its part has.

    A board of your own is a Python file that defines BOARD; name its path wherever a board is asked for.
    """
    import boards

    if source is not None:
        print(boards.source(source), end="")  # as it is: no colours, no line breaks of the console's
        return
    figures = [_figures(board) for board in boards.all_boards()]
    _show(figures)
    write_json(json, {"boards": figures})


def _show(figures):
    """Print what stands around the accelerator, and below it the machine and the part that it is in."""
    rows = table("board", "<device", "<host", "<bitstream")
    for each in figures:
        tools = "open tools" if each["open_tools"] else "Vivado"
        add_row(rows, each["board"], each["title"], each["link"], tools)
    console.print(rows)
    rows = table("board", "MHz", "<memory", "MB/s", "multipliers", "in DSPs", "LUTs", "RAM kbit", title=TITLE)
    for each in figures:
        memory, resources = each["memory"], each["resources"]
        dsps = f"{count(each['multiplier_blocks'])} of {count(resources['dsp'])}"
        machine = (memory["name"], count(memory["mb_per_second"]), count(each["multipliers"]), dsps)
        block_ram = resources["block_ram"] * each["block_ram_kbit"]
        add_row(rows, each["board"], f"{each['clock_mhz']:g}", *machine, count(resources["lut"]), count(block_ram))
    console.print()
    console.print(rows)


def _figures(board):
    config, memory = board.config, board.memory
    bytes_per_cycle = memory.bytes_per_cycle or config.beat_bytes
    return {
        "board": board.name,
        "title": board.title,
        "part": board.part.name,
        "family": board.part.family,
        "clock_mhz": board.clock_mhz,
        "memory": {
            "name": board.system.memory_name,
            "latency_cycles": memory.latency,
            "bytes_per_cycle": bytes_per_cycle,
            "mb_per_second": round(bytes_per_cycle * board.clock_mhz),
        },
        "link": board.system.link,
        "multipliers": config.multipliers,
        "multiplier_blocks": config.multipliers // config.products_per_dsp,
        "config": config.to_json(),
        "resources": vars(board.resources),
        "block_ram_kbit": board.part.block_ram_kbit,
        "open_tools": bool(board.part.options),
        "note": board.note,
    }
