"""Between the units no token is lost, made, or sent to the wrong one."""

import pytest

from hdl.instructions.instruction_path import InstructionPath
from hdl.instructions.token_gate import TOKEN_BITS
from quantflow.config import Config
from quantflow.isa import Unit
from tests.hdl.formal.prover import NotInductive, needs_prover, refuted
from tests.hdl.formal.spec import Spec, claim, delayed, mutated

pytestmark = [pytest.mark.slow, needs_prover]

CONFIG = Config(pixels=1, lanes=4, port_bits=64, queue_depth=2)
MOST = (1 << TOKEN_BITS) - 1


class Exchange(Spec):
    """A unit's tokens of another one: one more for each that the other sends, one less for each instruction."""

    def describe(self, m):
        names = {unit: unit.name.lower() for unit in Unit}
        for receiver in Unit:
            output = getattr(self.component, names[receiver])
            passed = output.valid & output.ready
            for sender in Unit:
                if sender == receiver:
                    continue
                name = f"from_{names[sender]}_to_{names[receiver]}"
                sent = self.inside("signal", f"{names[sender]}_gate")[receiver]
                spent = passed & output.payload.wait[sender]
                held = self.inside(f"held_{names[sender]}", f"{names[receiver]}_gate")
                full = held == MOST
                claim(m, f"{name}_held", full | (held + delayed(m, spent) == delayed(m, held) + delayed(m, sent)))
                claim(m, f"{name}_was_there", ~spent | (held != 0))
                claim(m, f"{name}_only_when_done", ~sent | self.component.done[sender])


def test_instruction_path(tmp_path):
    assert refuted(Exchange(InstructionPath(CONFIG)), tmp_path, 2) == set()


def test_mutated_wires_are_refuted(tmp_path):
    mutant = mutated(InstructionPath, ("gates[sender].signal[receiver]", "gates[receiver].signal[sender]"))
    with pytest.raises(NotInductive, match="held"):
        refuted(Exchange(mutant(CONFIG)), tmp_path, 2)
