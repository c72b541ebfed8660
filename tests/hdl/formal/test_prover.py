"""The prover on a counter: what is true, what is false, and what it must not call a proof."""

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.formal.prover import NotInductive, needs_prover, refuted
from tests.hdl.formal.spec import Spec, assume, claim, mutated

pytestmark = [pytest.mark.slow, needs_prover]

LAST = 5


class Counter(wiring.Component):
    """Counts the cycles with `step` from 0 to LAST and over again."""

    def __init__(self):
        super().__init__({"step": In(1), "count": Out(4)})

    def elaborate(self, platform):
        m = Module()
        following = Signal(4)
        m.d.comb += following.eq(self.count + 1)
        with m.If(self.step):
            m.d.sync += self.count.eq(following)
            with m.If(self.count == LAST):
                m.d.sync += self.count.eq(0)
        return m


class Counting(Spec):
    """Any assumptions and claims, as functions of the Spec."""

    def __init__(self, claims, assumed=None):
        super().__init__(Counter())
        self.claims, self.assumed = claims, assumed

    def describe(self, m):
        if self.assumed is not None:
            assume(m, self.assumed(self))
        for name, condition in self.claims.items():
            claim(m, name, condition(self))


IN_RANGE = {"in_range": lambda spec: spec.component.count <= LAST}


def test_what_is_true_is_proved(tmp_path):
    following = {"follows": lambda spec: spec.inside("following") == spec.component.count + 1}
    assert refuted(Counting(IN_RANGE | following), tmp_path, 1) == set()


def test_what_is_false_is_named(tmp_path):
    too_small = {"too_small": lambda spec: spec.component.count < LAST}
    assert refuted(Counting(IN_RANGE | too_small), tmp_path, LAST + 1, bounded=True) == {"too_small"}


def test_a_claim_that_does_not_imply_itself_is_no_proof(tmp_path):
    """12 is never reached, but the claim alone allows 11."""
    with pytest.raises(NotInductive, match="not_twelve"):
        refuted(Counting({"not_twelve": lambda spec: spec.component.count != 12}), tmp_path, 1)


def test_contradictory_assumptions_are_no_proof(tmp_path):
    with pytest.raises(RuntimeError, match="neither proved nor refuted"):
        refuted(Counting(IN_RANGE, lambda spec: spec.component.count != 0), tmp_path, 2, bounded=True)


def test_what_a_spec_does_not_find():
    with pytest.raises(LookupError, match=r"Counter drives no signal nothing"):
        Counting(IN_RANGE).inside("nothing")
    text = "?" * 3
    with pytest.raises(AssertionError, match=r"test_prover has 0 places that read '\?{3}'"):
        mutated(Counter, (text, "something"))
