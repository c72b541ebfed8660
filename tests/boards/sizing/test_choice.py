"""The machine chosen for a network: fast, inside the part, and a reason where there is none."""

import re

import pytest

import boards
from boards.sizing import choice, evaluation
from boards.sizing.candidates import shapes, sized
from boards.sizing.choice import choose
from boards.sizing.limits import LUT_SHARE, Limits
from quantflow.errors import UserError
from tests.boards.sizing.networks import network, with_room


@pytest.fixture(scope="module")
def small():
    return network()


@pytest.mark.parametrize("name, room", [("ulx3s-85f", {"dsp": 40}), ("pynq-z2", {"dsp": 60, "block_ram": 24})])
def test_the_choice_is_faster_than_others_and_fits(small, name, room):
    board = with_room(name, **room)
    found = choose(small, board)
    best, part = found.best, board.resources
    assert found.complete and best.config.multipliers > 1
    assert best.resources.dsp <= part.dsp and best.resources.block_ram <= part.block_ram
    assert best.resources.lut <= LUT_SHARE * part.lut
    others = [each for shape in shapes(small, board)[::9] for each in sized(shape, board)[:1]]
    results = [evaluation.attempt(small, board, each.config) for each in others]
    results = [each for each in results if not isinstance(each, UserError) and each.fits]
    assert len(results) > 5
    fastest = max(each.images_per_second for each in results)
    assert best.images_per_second * (1 + choice.GAP + choice.TIE) >= fastest


def test_no_program_is_faster_than_its_shape_lets_it_be(small):
    """Otherwise the search would end before the best machine."""
    board, seen = with_room("pynq-z2", dsp=60), 0
    for batch in (1, 3):
        for shape in shapes(small, board, batch)[::7]:
            for each in sized(shape, board, batch)[:1]:
                result = evaluation.attempt(small, board, each.config, batch)
                if not isinstance(result, UserError):
                    seen += 1
                    assert result.cycles >= each.least_cycles >= shape.least_cycles
    assert seen > 10


def test_every_candidate_fits_the_part(small):
    for name, room in (("ulx3s-85f", {"block_ram": 40}), ("pynq-z2", {"lut": 12_000, "block_ram": 9})):
        board = with_room(name, **room)
        candidates = [each for shape in shapes(small, board)[::5] for each in sized(shape, board)]
        assert candidates
        assert all(Limits.of(board).fits(each.resources) for each in candidates)


def test_a_family_without_measurements_keeps_its_own_machine(small):
    board = boards.find("tang-nano-20k")
    assert choice.chosen_board(small, board) == (board, None)


def test_too_few_look_up_tables(small):
    with pytest.raises(UserError, match=r"^ulx3s-85f: the smallest machine takes [\d,]+ look-up tables, and no more"):
        choose(small, with_room("ulx3s-85f", lut=9_000))


def test_too_little_memory():
    """Weights of 4 bits are half as many bytes."""
    with pytest.raises(UserError) as caught:
        choose(network(48, 10), with_room("ulx3s-85f", block_ram=28))
    said = re.fullmatch(
        r"ulx3s-85f: (\d+) of 28 block RAMs are needed for weights of ([\d,]+) bytes, an input of [\d,]+ bytes and the "
        r"smallest machine; with 4-bit weights it would be (\d+)",
        str(caught.value),
    )
    needed, weights, narrow = (int(number.replace(",", "")) for number in said.groups())
    assert needed > 28 >= narrow and weights >= 48 * 27 + 96 * 48 * 9


def test_where_else_it_fits(small):
    with pytest.raises(UserError, match="^ulx3s-85f: .*; it fits ecpix5-85f$"):
        choose(small, with_room("ulx3s-85f", block_ram=9))


def test_too_few_multipliers(small):
    with pytest.raises(UserError, match="too few multipliers"):
        choose(small, with_room("ulx3s-85f", dsp=1))
