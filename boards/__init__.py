"""The boards that a build can be made for: one short file each, or a user's own."""

from pathlib import Path

from boards import arty_z7_20, ecpix5_85f, icebreaker, pynq_z2, tang_nano_20k, ulx3s_85f, zc706
from boards.board import Board, Resources
from boards.own import load
from quantflow.errors import UserError

__all__ = ["DEFAULT", "Board", "Resources", "all_boards", "find", "source"]

FILES = (arty_z7_20, ecpix5_85f, icebreaker, pynq_z2, tang_nano_20k, ulx3s_85f, zc706)
DEFAULT = ulx3s_85f.BOARD.name


def all_boards():
    """Every known board, in order of name."""
    return sorted((file.BOARD for file in FILES), key=lambda board: board.name)


def find(name):
    """The board of this name, or that which a Python file defines, where `name` is its path (it ends in .py).

    UserError lists the known names, or says what is wrong with the file.
    """
    if str(name).endswith(".py"):
        return load(name)
    return _file(name).BOARD


def source(name):
    """The text of a known board's file."""
    return Path(_file(name).__file__).read_text()


def _file(name):
    for file in FILES:
        if file.BOARD.name == name:
            return file
    known = ", ".join(board.name for board in all_boards())
    raise UserError(f"there is no board {name}; known boards are {known}, and FILE.py for one of your own")
