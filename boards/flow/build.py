"""From a build folder to a bitstream: synthesis, placement and routing, packing, each by an open tool."""

import contextlib
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from boards.board import Board
from boards.flow.families import NETLIST, device, flow_of
from boards.flow.figures import figures_of
from boards.flow.routing import place_and_route
from boards.flow.sources import write_sources
from boards.flow.synthesis import synthesize_to
from boards.flow.tools import last_words, require
from boards.flow.watching import PACKING, Stopwatch, ignore
from boards.folder import put_in_place
from boards.on_chip.top import achieved_mhz
from boards.system import LiteX, ProcessingSystem
from quantflow.errors import UserError
from quantflow.manifest import Manifest

BITSTREAM, FAILED = "bitstream", "failed"  # folders in the build folder
RECORD, TIMING, UTILIZATION = "build.json", "timing.json", "utilization.json"
_ELSEWHERE = {
    ProcessingSystem: "Vivado makes the bitstream of {name}: run `vivado -mode batch -source build.tcl` in {folder}",
    LiteX: "LiteX makes the bitstream of {name}: run `python example.py . --build` in {folder}",
}


def build(folder, *, clock_mhz=None, seeds=(1,), force=False, report=ignore):
    """Make the bitstream of a build folder, and return the figures that lie beside it as `build.json`.

    `clock_mhz` makes the clock's PLL again for another clock than the board's; of several `seeds` of the placement
    the fastest is kept. `BUILD/bitstream` is complete before it takes its place. Where timing is missed it stays as
    it was, unless `force` is given: then logs and reports lie in `BUILD/failed`, the figures say so (`met`,
    `bitstream` None, `advice`), and nothing was packed. `report(stage, share done, what)` is called on the way.

    Raises UserError where the board's bitstream is made by other tools, tools are missing, or the design does not
    fit; logs of a tool that failed lie in `BUILD/failed`, too.
    """
    folder = Path(folder)
    manifest, board = Manifest.read(folder), Board.read(folder)
    if type(board.system) in _ELSEWHERE:
        raise UserError(_ELSEWHERE[type(board.system)].format(name=board.name, folder=folder))
    flow = flow_of(board.part)
    require(flow.tools)
    if clock_mhz is not None:
        board = replace(board, clock_mhz=clock_mhz)
    clock, stopwatch = achieved_mhz(board), Stopwatch(report)
    with _workplace(folder, flow) as (place, keep):
        write_sources(folder, place, board, flow, remake=clock_mhz is not None)
        synthesize_to(flow, place, report=stopwatch)
        stopwatch.stop()
        runs = _route(flow, board, clock, place, seeds, report)
        best = _choose(place, runs)
        if runs[best].timing.met or force:
            _pack(flow, board, place, stopwatch)
            keep()
        figures = figures_of(board, manifest, flow, place, clock, runs, best, stopwatch.seconds)
        _write(place, figures, runs[best].timing)
    return figures


@contextlib.contextmanager
def _workplace(folder, flow):
    """A folder to work in, and a function: once that is called the folder becomes the bitstream's, else FAILED's."""
    try:
        place = Path(tempfile.mkdtemp(prefix=f".{BITSTREAM}-", dir=folder))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from None
    target = [FAILED]
    try:
        yield place, lambda: target.append(BITSTREAM)
    except BaseException:
        target.append(FAILED)
        raise
    finally:
        for name in (NETLIST, flow.routed[-1]):
            for path in place.rglob(name):
                path.unlink()
        put_in_place(place, folder / target[-1])
        if target[-1] == BITSTREAM:
            shutil.rmtree(folder / FAILED, ignore_errors=True)  # of an earlier try


def _route(flow, board, clock, place, seeds, report):
    """{seed: Run}, on all cores; each seed's files lie in a folder of its own, `seed_N`."""

    def one(seed):
        here = place / f"seed_{seed}"
        here.mkdir()
        for name in (NETLIST, flow.constraints):
            shutil.copyfile(place / name, here / name)
        shown = report if seed == seeds[0] else ignore
        return place_and_route(flow, board.part, here, flow.constrained, seed=seed, aimed_mhz=clock, report=shown)

    with ThreadPoolExecutor(min(len(seeds), os.cpu_count() or 1)) as threads:
        return dict(zip(seeds, threads.map(one, seeds), strict=True))


def _choose(place, runs):
    """The seed of the fastest run, whose files move to the top; the others' go."""
    best = max(runs, key=lambda seed: runs[seed].timing.mhz)
    for path in (place / f"seed_{best}").iterdir():
        path.replace(place / path.name)
    for seed in runs:
        shutil.rmtree(place / f"seed_{seed}")
    return best


def _pack(flow, board, place, stopwatch):
    stopwatch(PACKING)
    arguments = [argument.format(device=device(board.part)) for argument in flow.packing]
    code = flow.packer.run(arguments, place, "packer.log")
    stopwatch.stop()
    if code or not (place / flow.bitstream).exists():
        raise UserError(f"{flow.packer.name} could not make the bitstream: {last_words(place / 'packer.log')}")


def _write(place, figures, timing):
    path = [asdict(step) for step in timing.critical_path]
    values = {"fmax_mhz": timing.mhz, "constraint_mhz": timing.constraint_mhz, "met": timing.met}
    for name, content in (
        (TIMING, values | {"words": timing.words, "critical_path": path}),
        (UTILIZATION, timing.utilization),
        (RECORD, figures),
    ):
        (place / name).write_text(json.dumps(content, indent=1) + "\n")
