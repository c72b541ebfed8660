"""`quantflow boards`: the boards that a build can be made for."""

from quantflow.commands.console import JsonOption, add_row, console, examples, table, write_json

NAME = "boards"
EXAMPLES = examples("quantflow boards", "quantflow boards --json boards.json")


def run(json: JsonOption = None):
    """List the known boards and the machine chosen for each."""
    import boards

    rows = table("board", "<device", "clock", "multipliers", "port")
    for board in boards.all_boards():
        config, resources = board.config, board.resources
        add_row(
            rows,
            board.name,
            board.title,
            f"{board.clock_mhz} MHz",
            f"{config.pixels} × {config.lanes} × {config.lanes} of {resources.dsp}",
            f"{config.port_bits} bits",
        )
    console.print(rows)
    write_json(json, {"boards": [_figures(board) for board in boards.all_boards()]})


def _figures(board):
    return {
        "board": board.name,
        "title": board.title,
        "part": board.part.name,
        "clock_mhz": board.clock_mhz,
        "multipliers": board.config.multipliers,
        "config": board.config.to_json(),
        "resources": vars(board.resources),
    }
