"""Synthesis of a whole design for nextpnr: one call of Yosys."""

import json
import re

from boards.flow.families import NETLIST
from boards.flow.tools import last_words
from boards.flow.watching import SynthesisWatch, ignore
from quantflow.errors import UserError

LOG = "yosys.log"
# What `hdl.verilog` writes for a memory that begins as zeros. No machine reads a word before it is written, and
# Yosys takes many times longer over memories that begin with given words.
_CLEARED_MEMORY = re.compile(r"  integer \S+_row;\n  initial for \(.*\)\n.*\n")


def without_cleared_memories(source):
    """Verilog text whose memories begin with anything instead of with zeros."""
    return _CLEARED_MEMORY.sub("", source)


def synthesize_to(flow, folder, *, top="top", sources=None, report=ignore):
    """Leave the netlist of the Verilog files `sources` in `folder`, by default of all that lie there.

    Raises UserError with Yosys' reason where it refuses the design.
    """
    names = sources or sorted(path.name for path in folder.glob("*.v"))
    script = f"read_verilog {' '.join(names)}; {flow.synthesis} -top {top} -json {NETLIST}"
    code = flow.synthesizer.run(["-p", script], folder, LOG, SynthesisWatch(report))
    if code or not (folder / NETLIST).exists():
        raise UserError(f"Yosys could not synthesize the design: {last_words(folder / LOG)}")
    if flow.improve:
        netlist = json.loads((folder / NETLIST).read_text())
        for change in flow.improve:
            change(netlist)
        (folder / NETLIST).write_text(json.dumps(netlist))
