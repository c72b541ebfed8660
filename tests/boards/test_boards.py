"""The boards' own files: findable, consistent, and their machines within the parts' multipliers."""

import pytest

import boards
from boards.synthesis import FAMILIES
from quantflow.errors import UserError


def test_find():
    assert [board.name for board in boards.all_boards()] == ["ulx3s-85f", "zc706"]
    for board in boards.all_boards():
        assert boards.find(board.name) is board
    assert boards.find(boards.DEFAULT).name == boards.DEFAULT


def test_unknown_board():
    with pytest.raises(UserError, match=r"^there is no board zc702; known boards are ulx3s-85f, zc706$"):
        boards.find("zc702")


@pytest.mark.parametrize("board", boards.all_boards(), ids=lambda board: board.name)
def test_board(board):
    """One multiplier block a product fits, and the scratchpads' bits fit."""
    config, available = board.config, board.resources
    assert board.part.family in FAMILIES
    assert config.multipliers <= available.dsp
    activations = config.pixels * config.activation_depth * config.lanes * config.activation_bits
    weights = config.weight_depth * config.lanes**2 * config.weight_bits
    assert activations + weights < 1000 * board.part.block_ram_kbit * available.block_ram


def test_exceeding():
    less = boards.Resources(lut=1, ff=5, dsp=3, block_ram=2)
    more = boards.Resources(lut=2, ff=4, dsp=3, block_ram=1)
    assert less.exceeding(more) == ["ff", "block_ram"]
    assert less.exceeding(less) == []
