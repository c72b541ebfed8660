"""A user's own board: a file that defines BOARD, and one sentence for every way in which it can be wrong."""

import re
from pathlib import Path

import pytest

import boards
from boards.board import Board
from quantflow import tuned_file
from quantflow.cli import main
from quantflow.errors import UserError
from quantflow.manifest import Manifest
from tests.quantflow.networks import RandomNetwork

ULX3S = boards.source("ulx3s-85f")
DOCUMENT = Path(__file__).parents[2] / "docs" / "boards.md"


@pytest.fixture
def file(tmp_path):
    """Writes a board's file; returns its path."""

    def write(text):
        path = tmp_path / "my_board.py"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("board", boards.all_boards(), ids=lambda board: board.name)
def test_a_known_boards_file_is_a_beginning(file, board):
    path = file(boards.source(board.name))
    assert boards.find(str(path)) == boards.find(path) == board
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_documented_example(file):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    board = boards.find(file(example))
    assert board.name not in [known.name for known in boards.all_boards()]
    assert board.config.multipliers <= board.resources.dsp


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("BOARD = 1 / 0", "{path} does not run: ZeroDivisionError in line 1: division by zero"),
        ("\nimport nothing_here", "{path} does not run: ModuleNotFoundError in line 2: No module named 'nothing_here'"),
        ("BOARD = (", "{path} does not run: SyntaxError in line 1: '(' was never closed"),
        ("raise SystemExit", "{path} does not run: SystemExit in line 1: no message"),
        ("raise ValueError('a\\nb')", "{path} does not run: ValueError in line 1: a"),
        ("board = 1", "{path} defines no BOARD: it must set BOARD to a boards.board.Board"),
        ("BOARD = 'zc706'", "BOARD of {path} is of type str and not a boards.board.Board"),
    ],
)
def test_wrong_file(file, text, sentence):
    path = file(text)
    with pytest.raises(UserError) as error:
        boards.find(path)
    message = re.sub(r" \(my_board.py, line \d+\)$", "", str(error.value))
    assert message == sentence.format(path=path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("pixels=2", "pixels=0"), "does not run: ValueError in line 12: pixels is at least 1, not 0"),
        (("clock_mhz=60", "clock_mhz=-1"), "its clock_mhz is -1 and not above 0"),
        (('"tx":', '"out":'), "its system.pins lack tx"),
        (("part=LFE5U_85F", "part='ECP5'"), "its part is of type str and not a boards.part.Part"),
        (("clock_mhz=60", "clock_mhz='65'"), "its clock_mhz is '65' and not a number"),
    ],
)
def test_wrong_board(file, change, sentence):
    assert change[0] in ULX3S
    path = file(ULX3S.replace(*change))
    with pytest.raises(UserError) as error:
        boards.find(path)
    assert str(path) in str(error.value) and str(error.value).endswith(sentence)
    assert "\n" not in str(error.value)


def test_wrong_parts(file):
    for line, sentence in (
        ("BOARD = replace(BOARD, config=3)", "its config is of type int and not a quantflow.config.Config"),
        ("BOARD = replace(BOARD, system=BOARD.part)", "its system is of type Part and none of boards.system's "),
        (
            "BOARD = replace(BOARD, part=replace(BOARD.part, family='stratix'))",
            "there is no family stratix; known families are ",
        ),
    ):
        path = file(f"{ULX3S}\nfrom dataclasses import replace\n{line}\n")
        with pytest.raises(UserError, match=re.escape(f"BOARD of {path} cannot be built for: {sentence}")):
            boards.find(path)


def test_missing_file(tmp_path):
    for path in (tmp_path / "none.py", tmp_path):
        named = tmp_path / "folder.py" if path is tmp_path else path
        if path is tmp_path:
            named.mkdir()
        with pytest.raises(UserError, match=re.escape(f"there is no file {named} that could define a board")):
            boards.find(named)


def test_on_the_command_line(file, tmp_path, capsys):
    """A board's file is named like a board; a wrong one ends `quantflow generate` in a sentence."""
    tuned_file.save(RandomNetwork(1, (2, 5, 5)).dense(4, relu=False).finish(), tmp_path / "tuned")
    build = tmp_path / "build"

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        return exit_.value.code

    path = file("BOARD = 3")
    assert run("generate", tmp_path / "tuned", "--board", path, "-o", build) == 2 and not build.exists()
    assert capsys.readouterr().err == f"error: BOARD of {path} is of type int and not a boards.board.Board\n"
    assert run("boards", "--source", "ulx3s-85f") == 0
    source = capsys.readouterr().out
    assert source == ULX3S
    path = file(source.replace("lanes=8", "lanes=4").replace("ulx3s-85f", "mine"))
    assert run("generate", tmp_path / "tuned", "--board", path, "--config", "board", "-o", build) == 0
    assert Manifest.read(build).board == "mine" and Board.read(build) == boards.find(path)
