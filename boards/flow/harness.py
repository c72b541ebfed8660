"""How fast a module runs that has more ports than an FPGA has pins: between two chains of registers."""

import re
import tempfile
from pathlib import Path

from boards.flow.families import flow_of
from boards.flow.routing import place_and_route
from boards.flow.synthesis import synthesize_to, without_cleared_memories

HARNESS = "harness"
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)
_UNCONSTRAINED = {"ecp5": ("--lpf-allow-unconstrained",), "ice40": ("--pcf-allow-unconstrained",)}


def harness_timings(source, part, *, top, seeds=(1,), aimed_mhz=90):
    """{seed: Timing} of the Verilog text `source` in a `harness` on a part; UserError where it does not fit."""
    flow = flow_of(part)
    with tempfile.TemporaryDirectory(prefix="quantflow-routing-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(without_cleared_memories(source) + harness(source, top=top))
        synthesize_to(flow, folder, top=HARNESS)
        constrained = _UNCONSTRAINED.get(part.family, ())
        return {
            seed: place_and_route(flow, part, folder, constrained, seed=seed, aimed_mhz=aimed_mhz).timing
            for seed in seeds
        }


def harness(source, *, top):
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
