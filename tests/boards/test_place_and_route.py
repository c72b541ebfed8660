"""The harness around a machine, and what is read from nextpnr's report."""

import re

import pytest

from boards.place_and_route import harness, harness_netlist, place_and_route, read_report
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
    text = harness(source)
    body = source[source.index("module accelerator(") :].partition("endmodule")[0]
    ports = set(re.findall(r"^  (?:input|output) .*?(\w+);", body, re.MULTILINE))
    connected = re.findall(r"\.(\w+)\(", text)
    assert sorted(connected) == sorted(ports)
    for chain in ("given", "made"):
        ranges = [(int(high), int(low)) for high, low in re.findall(rf"\({chain}\[(\d+):(\d+)\]\)", text)]
        bits = [bit for high, low in ranges for bit in range(low, high + 1)]
        assert bits == list(range(len(bits)))


def test_report():
    parts = [{"delay": 0.5, "type": "clk-to-q", "net": ""}, {"delay": 2.0, "type": "routing", "net": "sum"}]
    inside = {"from": "posedge clk", "to": "posedge clk", "path": parts}
    outside = {"from": "<async>", "to": "posedge clk", "path": parts[:1]}
    report = {
        "fmax": {"clk": {"achieved": 123.4, "constraint": 90.0}},
        "critical_paths": [outside, inside],
        "utilization": {"TRELLIS_FF": {"used": 7, "available": 9}, "DCCA": {"used": 0, "available": 56}},
    }
    timing = read_report(report)
    assert timing.mhz == 123.4 and timing.utilization == {"TRELLIS_FF": 7}
    assert [(part["kind"], part["ns"], part["net"]) for part in timing.critical_path] == [
        ("clk-to-q", 0.5, ""),
        ("routing", 2.0, "sum"),
    ]


@pytest.mark.slow
def test_small_design():
    timing = place_and_route(harness_netlist(SMALL, top="small"))
    assert timing.mhz > 100 and timing.critical_path
    assert timing.utilization["TRELLIS_FF"] >= 5 + 6 + 5 + 1
