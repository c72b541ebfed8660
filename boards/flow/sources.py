"""The Verilog, constraints and memory contents that a bitstream is made of."""

import shutil

from boards.flow.synthesis import without_cleared_memories
from boards.on_chip.top import top_verilog
from quantflow.errors import UserError
from quantflow.manifest import VERILOG

TOP, SYSTEM, CONTENTS = "top.v", "system.v", "memory*.hex"
_STEPS = 20  # MHz below a clock in which one that the board can make is looked for


def write_sources(folder, place, board, flow, *, remake):
    """Put the build folder's sources into `place`; with `remake` the top module is made again for the board's clock.

    Raises UserError where one is missing, or no PLL makes the clock.
    """
    made = {TOP: top_verilog(board, board.clock_mhz)} if remake else {}
    names = [name for name in (VERILOG, SYSTEM, TOP, flow.constraints) if name not in made]
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder} has no {missing[0]}: generate the build again")
    for path in [folder / name for name in names] + sorted(folder.glob(CONTENTS)):
        shutil.copyfile(path, place / path.name)
    for name, text in made.items():
        (place / name).write_text(text)
    source = (place / VERILOG).read_text()
    (place / VERILOG).write_text(without_cleared_memories(source))


def reachable_clock(board, most_mhz):
    """A clock in whole MHz, as `--clock` takes it, that the board can make and that is at most `most_mhz`; or None."""
    for asked in range(int(most_mhz), max(0, int(most_mhz) - _STEPS), -1):
        try:
            top_verilog(board, asked)
        except UserError:
            continue
        return asked
    return None
