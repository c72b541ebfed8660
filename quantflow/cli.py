"""The command `quantflow`: one file for each subcommand in `quantflow/commands/`."""

import sys

import typer

from quantflow.commands import (
    boards,
    build,
    compare,
    demo,
    explore,
    export,
    generate,
    inspect,
    report,
    run,
    simulate,
    tune,
)
from quantflow.commands.console import errors
from quantflow.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""From a trained CNN to a fixed-point network, a Verilog accelerator and a proof in simulation.

    Typical use: `inspect` the ONNX model, `tune` it on a few hundred images, `generate` the
    accelerator for a board, `simulate` real images on it, `build` the bitstream,
    `run` it on the board.
    """,
)
for command in (inspect, tune, compare, export, explore, generate, build, run, simulate, report, boards, demo):
    app.command(command.NAME, epilog=command.EXAMPLES)(command.run)


def main(arguments=None):
    """Run the command line; a user's mistake becomes one sentence and exit code 2."""
    try:
        app(arguments)
    except UserError as error:
        errors.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
