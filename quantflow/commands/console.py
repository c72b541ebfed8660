"""What the commands share: consoles, tables, progress, figures as JSON."""

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from quantflow.errors import UserError
from quantflow.tuned_file.text import readable

console = Console()
errors = Console(stderr=True)

JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write every figure to this file as JSON.")
]


def examples(*lines):
    """Examples for a command's help."""
    return "\n\n".join(["Examples:", *(f"`{line}`" for line in lines)])


def write_json(path, figures):
    """Write `figures` to `path`, if one is given."""
    if path is not None:
        write_text(path, readable(figures) + "\n")


def write_text(path, text):
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path, content):
    """Write a file as a whole or not at all."""
    prepared = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        prepared.write_bytes(content)
        os.replace(prepared, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        prepared.unlink(missing_ok=True)


def read_json(path):
    """Figures that a command wrote with --json."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise UserError(f"{path} is not JSON; a command's --json option writes it") from None


def table(*columns, title=None):
    """A table; columns other than the first are right-aligned unless they begin with '<'."""
    result = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        left = index == 0 or column.startswith("<")
        result.add_column(column.removeprefix("<"), justify="left" if left else "right", overflow="fold")
    return result


def add_row(table_, *cells):
    """A row of anything; text is shown as it is, whatever brackets a name has."""
    table_.add_row(*(Text("" if cell is None else printable(str(cell))) for cell in cells))


def printable(text):
    """`text` with what would command a terminal written out: names in a model's file may hold anything."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


@contextlib.contextmanager
def progress(title):
    """A progress bar on the error console; yields `report(done, total, *what)`.

    Until the first report the bar only shows that something is going on.
    """
    text = TextColumn("{task.description}")
    columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(done, total, *_):
            bar.update(task, completed=done, total=total)

        yield report


def shape(extents):
    """[6, 28, 28] as "6 x 28 x 28"."""
    return "?" if extents is None else " × ".join("?" if extent is None else str(extent) for extent in extents)
