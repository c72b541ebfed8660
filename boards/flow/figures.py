"""The figures of a bitstream: its clock, what it takes, how many images a second it computes."""

from dataclasses import asdict

from boards.flow.sources import reachable_clock
from boards.flow.watching import STAGES


def figures_of(board, manifest, flow, place, clock_mhz, runs, best, spent):
    """The figures of the build in the folder `place`, as a dict for JSON.

    `clock_mhz` is what the clock's PLL gives, `runs` {seed: Run} of which `best` is kept, `spent` the other stages'
    seconds. Images a second are the clock over the cycles that the cycle model predicts for an image of a run with
    the weights on chip, if they stay there; None where the clock is missed. Resources used are nextpnr's count,
    after packing; those available are the part's.
    """
    timing = runs[best].timing
    bitstream = place / flow.bitstream
    made = bitstream.exists()
    cycles = manifest.cycles_per_image
    seconds = spent | runs[best].seconds
    figures = {
        "board": board.name,
        "part": board.part.name,
        "clock_mhz_asked": board.clock_mhz,
        "clock_mhz": clock_mhz,
        "fmax_mhz": round(timing.mhz, 2),
        "met": timing.met,
        "multipliers": manifest.config.multipliers,
        "resources": {"used": asdict(flow.count(timing.utilization)), "available": asdict(board.resources)},
        "critical_path": [asdict(step) for step in timing.critical_path],
        "critical_path_words": timing.words,
        "cycles_per_image": cycles,
        "images_per_second": round(clock_mhz * 1e6 / cycles, 2) if timing.met else None,
        "bitstream": flow.bitstream if made else None,
        "bitstream_bytes": bitstream.stat().st_size if made else None,
        "seed": best,
        "router": runs[best].router,
        "seeds": [{"seed": seed, "fmax_mhz": round(run.timing.mhz, 2)} for seed, run in runs.items()],
        "seconds": {stage: seconds[stage] for stage in STAGES if stage in seconds},
        "tools": {tool.package: tool.version for tool in flow.tools},
        "note": flow.note,
    }
    if not timing.met:
        figures["advice"] = _advice(board, clock_mhz, timing)
    return figures


def _advice(board, clock_mhz, timing):
    """Why timing is missed, and what would be met."""
    missed = f"timing is missed: the clock is {clock_mhz:g} MHz and the slowest path allows {timing.mhz:.2f} MHz"
    lower = reachable_clock(board, timing.mhz)
    advice = f"build with --clock {lower:g}, or try other placements with --seeds 4" if lower else "try --seeds 4"
    return f"{missed}; it goes {timing.words}; {advice}"
