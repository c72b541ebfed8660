"""One call for a component's test bench: Amaranth component in, cocotb tests run."""

from hdl.verilog import to_verilog
from sim.simulator import build


def run_bench(component, test_module, folder, *, testcase=None, environment=None, ports=None):
    """Simulate `component` under the cocotb tests of `test_module` (pass `__name__`).

    Ports appear by their signature's names (`input__payload`, `input__valid`, ...) beside `clk`
    and `rst`; signals inside it do not. `environment` (strings) tells the coroutines the
    parameters. Raises SystemExit where a test fails.
    """
    name = type(component).__name__
    built = build(to_verilog(component, name, ports=ports), top=name, closed=True)
    built.run(test_module, folder=folder, testcase=testcase, environment=environment)
