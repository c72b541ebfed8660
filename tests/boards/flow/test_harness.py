"""The registers around a machine that has more ports than an FPGA has pins."""

import re

import pytest

from boards.flow.harness import harness, harness_timings
from boards.part import LFE5U_85F
from hdl.accelerator import accelerator_verilog
from quantflow.config import Config

SMALL = """
module small(clk, a, b, sum);
  input clk;
  input [3:0] a;
  input b;
  output [4:0] sum;
  reg [4:0] sum;
  always @(posedge clk) sum <= a + b;
endmodule
"""


def test_harness_connects_every_port_once():
    source = accelerator_verilog(Config(pixels=1, lanes=2, port_bits=32))
    text = harness(source, top="accelerator")
    body = source[source.index("module accelerator(") :].partition("endmodule")[0]
    ports = set(re.findall(r"^  (?:input|output) .*?(\w+);", body, re.MULTILINE))
    connected = re.findall(r"\.(\w+)\(", text)
    assert sorted(connected) == sorted(ports)
    for chain in ("given", "made"):
        ranges = [(int(high), int(low)) for high, low in re.findall(rf"\({chain}\[(\d+):(\d+)\]\)", text)]
        bits = [bit for high, low in ranges for bit in range(low, high + 1)]
        assert bits == list(range(len(bits)))


@pytest.mark.slow
def test_small_design():
    """An adder runs far above what is asked for, and every register is there, of both chains and its own."""
    timings = harness_timings(SMALL, LFE5U_85F, top="small", seeds=(1, 2))
    assert timings.keys() == {1, 2}
    for timing in timings.values():
        assert timing.mhz > 100 and timing.met and timing.constraint_mhz == pytest.approx(90, abs=0.1)
        assert timing.used["TRELLIS_FF"] >= 5 + 6 + 5 + 1
        assert "register" in timing.words
