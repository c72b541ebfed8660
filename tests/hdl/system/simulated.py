"""Builds and helpers for benches of components that contain a storage."""

from hdl.bus.axi import named_ports
from hdl.system.storage import SOURCES
from hdl.verilog import to_verilog
from sim.simulator import build

AXI = {"read": "s_axi_", "write": "s_axi_", "registers": "m_axil_"}


def run_storage_bench(component, test_module, folder, *, testcase=None, environment=None):
    """`sim.bench.run_bench` with the storage's Verilog, and AXI ports by their AXI names."""
    name = type(component).__name__
    verilog = to_verilog(component, name, ports=named_ports(component, AXI))
    verilog += "".join(path.read_text() for path in SOURCES)
    build(verilog, top=name, closed=True).run(test_module, folder=folder, testcase=testcase, environment=environment)
