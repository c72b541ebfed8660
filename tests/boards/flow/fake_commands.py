"""What the stand-ins of `fake_tools` do; a process of each, so this imports next to nothing."""

import itertools
import json
from pathlib import Path

MHZ = {1: 52.5, 2: 55.25, 3: 48.0, 4: 47.5}  # by seed
UNROUTABLE, CIRCLING = 5, 4  # seeds: of a design that does not fit; of one that the first router does not end with
LOG = """
Info: Device utilisation:
Info: \t              DP16KD:     240/    208   115%
Info: \t          MULT18X18D:     128/    156    82%
ERROR: cell 'memory.0.0' could not be placed
"""


def synthesize(arguments):
    """A netlist without cells."""
    Path(arguments[-1].split()[-1]).write_text(json.dumps({"modules": {}}))
    return 0


def route(arguments):
    """What nextpnr leaves, with fmax as `MHZ` says."""
    options = dict(zip(arguments, arguments[1:], strict=False))
    seed = int(options["--seed"])
    if seed == UNROUTABLE:
        print(LOG)
        return 255
    if seed == CIRCLING and options["--router"] == "router1":
        print("Info: Routing 2000 arcs.", flush=True)
        for laid in itertools.count(1000, 1000):
            print(f"Info:  {laid} |  {laid}  0 |  1000  0 |  7|  1.00  1.00|", flush=True)
    clock = {"achieved": MHZ[seed], "constraint": float(options["--freq"])}
    parts = [("clk-to-q", 0.5, "a_TRELLIS_FF_Q"), ("routing", 1e3 / MHZ[seed] - 0.5, "b_TRELLIS_FF_Q")]
    path = [{"type": kind, "delay": ns, "from": {}, "to": {"cell": cell, "port": "Q"}} for kind, ns, cell in parts]
    Path(options["--report"]).write_text(
        json.dumps({
            "fmax": {"clk": clock},
            "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": path}],
            "utilization": {"MULT18X18D": {"used": seed, "available": 156}},
        })
    )
    Path(options["--textcfg"]).write_text(f"seed {seed}\n")
    return 0


def pack(arguments):
    """A bitstream that tells which routing it was made of."""
    _, routed, bitstream = arguments
    Path(bitstream).write_text("packed " + Path(routed).read_text())
    return 0
