"""The Verilog and constraints that a bitstream is made of."""

import shutil

from boards.flow.synthesis import without_cleared_memories
from quantflow.errors import UserError
from quantflow.manifest import VERILOG

TOP, SYSTEM, CONTENTS = "top.v", "system.v", "memory.hex"


def write_sources(folder, place, board, flow, *, remake):
    """Put the build folder's sources into `place`; with `remake` the top module is made again for the board's clock.

    Raises UserError where one is missing.
    """
    names = [VERILOG, SYSTEM, flow.constraints] + ([] if remake else [TOP])
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder} has no {missing[0]}: generate the build again")
    for name in names:
        shutil.copyfile(folder / name, place / name)
    source = (place / VERILOG).read_text()
    (place / VERILOG).write_text(without_cleared_memories(source))
    if remake:
        from boards.on_chip.top import top_verilog

        (place / TOP).write_text(top_verilog(board, board.clock_mhz))
    if (folder / CONTENTS).exists():
        shutil.copyfile(folder / CONTENTS, place / CONTENTS)


def clock_of(board):
    return float(board.clock_mhz)


def reachable_clock(board, most_mhz):
    return float(int(most_mhz))
