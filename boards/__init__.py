"""The boards that a build can be made for: one short file each."""

from boards import ulx3s_85f, zc706
from boards.board import Board, Resources
from quantflow.errors import UserError

__all__ = ["DEFAULT", "Board", "Resources", "all_boards", "find"]

DEFAULT = ulx3s_85f.BOARD.name


def all_boards():
    """Every known board, in order of name."""
    return sorted((ulx3s_85f.BOARD, zc706.BOARD), key=lambda board: board.name)


def find(name):
    """The board of this name; UserError lists the known ones."""
    for board in all_boards():
        if board.name == name:
            return board
    known = ", ".join(board.name for board in all_boards())
    raise UserError(f"there is no board {name}; known boards are {known}")
