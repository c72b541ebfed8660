"""One call for a component's test bench: Amaranth component in, cocotb tests run."""

from amaranth.back import verilog

from sim.simulator import build


def run_bench(component, test_module, folder, *, testcase=None, environment=None, ports=None):
    """Simulate `component` under the cocotb tests of `test_module` (pass `__name__`).

    Ports appear by their signature's names (`input__payload`, `input__valid`, ...) beside `clk`
    and `rst`. `environment` (strings) tells the coroutines the parameters. Raises SystemExit
    where a test fails.
    """
    name = type(component).__name__
    source = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True, ports=ports)
    built = build(source, top=name)
    built.run(test_module, folder=folder, testcase=testcase, environment=environment)
