"""What is claimed of a component, as a component around it."""

import inspect
from types import ModuleType

from amaranth import Assert, Assume, Cat, Const, Elaboratable, Fragment, Module, ResetSignal, Signal, Value
from amaranth.asserts import AnySeq
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2


class Spec(Elaboratable):
    """A component whose inputs do anything that is not assumed otherwise, and claims about it.

    A subclass's `describe(m)` calls `assume` and `claim`, and adds registers where a claim is about more than
    one cycle. A proof by induction also needs claims that say how these registers belong to the component's own:
    `inside` and `peek` show those. There is no reset but the one before the first cycle.
    """

    def __init__(self, component):
        self.component = component
        self.fragment = Fragment.get(component, "formal")

    def describe(self, m):
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        m.submodules.component = _Elaborated(self.fragment)
        for _, member, value in self.component.signature.flatten(self.component):
            if member.flow is In:
                value = Value.cast(value)
                m.d.comb += value.eq(AnySeq(len(value)))
        assume(m, ~ResetSignal())
        self.describe(m)
        return m

    def inside(self, name, *path):
        """The signal `name` that the component, or its submodule at `path`, drives."""
        for statements in self._submodule(path).statements.values():
            for signal in statements._lhs_signals():
                if signal.name == name:
                    return signal
        raise LookupError(f"{type(self.component).__name__} drives no signal {'.'.join((*path, name))}")

    def peek(self, row, *path):
        """The word in row `row` of the memory at `path`."""
        memory = self._submodule(path)
        word = Signal(memory._data.shape, name="peeked")
        address = Value.cast(row)[: ceil_log2(memory._data.depth)]
        memory.read_port(domain="comb", addr=address, data=word, en=Const(1), transparent_for=())
        return word

    def _submodule(self, path):
        fragment = self.fragment
        for step in path:
            fragment = next(inner for inner, name, _ in fragment.subfragments if name == step)
        return fragment


class _Elaborated(Elaboratable):
    def __init__(self, fragment):
        self.fragment = fragment

    def elaborate(self, platform):
        return self.fragment


def assume(m, condition):
    """Leave out the runs in which `condition` does not hold in each cycle."""
    m.d.comb += Assume(condition)


def claim(m, name, condition):
    """`condition` holds in every cycle; `name`, a word, tells a refuted claim from others."""
    statement = Assert(condition)
    statement.src_loc = (name, 1)  # the prover names a claim by its place in the source
    m.d.comb += statement


def delayed(m, value):
    """`value` in the cycle before; 0 in the first one."""
    value = Value.cast(value)
    before = Signal.like(value, name="before")
    m.d.sync += before.eq(value)
    return before


def stays_until_taken(m, name, valid, ready, *payload):
    """What is offered stays offered, and what it is, until it is taken."""
    payload = Cat(payload)
    waited, before = delayed(m, valid & ~ready), delayed(m, payload)
    claim(m, f"{name}_stays_until_taken", ~waited | (valid & (payload == before)))


def mutated(component, *changes):
    """The class `component` from its source file with each change (old, new) made in the one place that reads `old`."""
    original = inspect.getmodule(component)
    source = inspect.getsource(original)
    for old, new in changes:
        assert source.count(old) == 1, f"{original.__name__} has {source.count(old)} places that read {old!r}"
        source = source.replace(old, new)
    module = ModuleType(original.__name__)
    exec(compile(source, original.__file__, "exec"), module.__dict__)
    return getattr(module, component.__name__)
