"""A user's own board: a Python file of theirs that defines BOARD."""

import importlib.util
import sys
import traceback
from numbers import Real
from pathlib import Path

from boards.board import Board, OnChip, Part
from boards.synthesis import FAMILIES
from boards.system import KINDS
from quantflow.config import Config
from quantflow.errors import UserError

DEFINED = "BOARD"
NEEDED_PINS = ("clock", "rx", "tx")


def load(path):
    """The Board that a file defines; UserError says in one sentence what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no file {path} that could define a board")
    board = getattr(_run(path), DEFINED, None)
    if board is None:
        raise UserError(f"{path} defines no {DEFINED}: it must set {DEFINED} to a boards.board.Board")
    if not isinstance(board, Board):
        raise UserError(f"{DEFINED} of {path} is of type {type(board).__name__} and not a boards.board.Board")
    for problem in _problems(board):
        raise UserError(f"{DEFINED} of {path} cannot be built for: {problem}")
    return board


def _run(path):
    """The module that a file makes."""
    specification = importlib.util.spec_from_file_location(f"quantflow_board_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no folder of ours beside the user's file
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        if isinstance(error, SyntaxError):
            lines.append(error.lineno)
        where = f" in line {lines[-1]}" if lines else ""
        words = getattr(error, "msg", None) or str(error).strip().partition("\n")[0] or "no message"
        raise UserError(f"{path} does not run: {type(error).__name__}{where}: {words}") from None
    finally:
        sys.dont_write_bytecode = written
    return module


def _problems(board):
    """What later steps would stumble over, as ends of sentences."""
    kinds = tuple(KINDS.values())
    if not isinstance(board.part, Part):
        yield f"its part is of type {type(board.part).__name__} and not a boards.part.Part"
    elif board.part.family not in FAMILIES:
        yield f"there is no family {board.part.family}; known families are {', '.join(FAMILIES)}"
    if not isinstance(board.config, Config):
        yield f"its config is of type {type(board.config).__name__} and not a quantflow.config.Config"
    if not isinstance(board.clock_mhz, Real):
        yield f"its clock_mhz is {board.clock_mhz!r} and not a number"
    elif not board.clock_mhz > 0:
        yield f"its clock_mhz is {board.clock_mhz} and not above 0"
    if not isinstance(board.system, kinds):
        names = ", ".join(kind.__name__ for kind in kinds)
        yield f"its system is of type {type(board.system).__name__} and none of boards.system's {names}"
    elif isinstance(board.system, OnChip):
        missing = [pin for pin in NEEDED_PINS if pin not in board.system.pins]
        if missing:
            yield f"its system.pins lack {', '.join(missing)}"
