"""One node of an ONNX graph, and its attributes: read with their types, or refused."""

from dataclasses import dataclass

from onnx import AttributeProto

LONGEST = 320  # characters of a reason


class Refusal(Exception):
    """Why a node cannot be imported: a clause that continues "Conv 'name' ..."."""


class Excess(Refusal):
    """A refusal for what asks for too much memory or time."""


class UnknownShape(Exception):
    """A node's attributes are fine, but what it reads has no known shape: a refused node precedes it."""


def shown(sizes):
    """A shape or list as [N, 3, 32, 32]."""
    return f"[{', '.join('?' if size is None else str(size) for size in sizes)}]"


def word(text):
    """A word from the file as it may stand in a sentence: quoted if it is not plain."""
    return text if text.isidentifier() else repr(text)


def clipped(text):
    """A sentence of at most LONGEST characters: names in a file may be of any length."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def with_batch(shape):
    """A shape without its batch dimension as [N, ...]."""
    return shown(("N", *shape))


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """A node as its converter sees it."""

    name: str  # unique in the graph
    operator: str
    inputs: tuple[str, ...]  # "" where an optional input is left out
    outputs: tuple[str, ...]
    attributes: "Attributes"
    part: tuple[int, int] = (0, 1)  # which output of how many, for a Split, which is a node for each output

    def input(self, index):
        """Name of an input, "" if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


class Attributes:
    """A node's attributes. Each getter checks the type; `finish` refuses those that nobody asked for."""

    def __init__(self, proto):
        self._values = {}
        self._repeated = None
        for attribute in proto.attribute:
            if attribute.name in self._values:
                self._repeated = attribute.name
            self._values[attribute.name] = attribute
        self._read = set()

    def _get(self, name, kind, field, default):
        self._read.add(name)
        attribute = self._values.get(name)
        if attribute is None:
            return default
        if attribute.type != kind or attribute.ref_attr_name:
            raise Refusal(f"has the attribute {name!r} in a form that is not ONNX's")
        return getattr(attribute, field)

    def integer(self, name, default):
        return self._get(name, AttributeProto.INT, "i", default)

    def real(self, name, default):
        return self._get(name, AttributeProto.FLOAT, "f", default)

    def text(self, name, default):
        return self._get(name, AttributeProto.STRING, "s", default.encode()).decode(errors="replace")

    def integers(self, name, count, default, least):
        """A tuple of `count` integers, each at least `least`; None for any count, any size, or no default."""
        values = self._get(name, AttributeProto.INTS, "ints", default)
        if values is None:
            return None
        if count is None:
            return tuple(int(value) for value in values)
        if len(values) != count or min(values) < least:
            raise Refusal(f"has {name} {shown(values)}; {count} integers of at least {least} are expected")
        return tuple(int(value) for value in values)

    def only(self, name, actual, supported):
        """Refuse any value but the supported one."""
        if actual != supported:
            show = {tuple: shown, str: word}.get(type(actual), str)
            raise Refusal(f"has {name} {show(actual)}; only {show(supported)} is supported")

    def ignore(self, *names):
        """These attributes have no meaning in inference."""
        self._read.update(names)

    def finish(self):
        """Every attribute has been honoured, or is refused here."""
        if self._repeated is not None:
            raise Refusal(f"has the attribute {self._repeated!r} twice")
        for name in self._values:
            if name not in self._read:
                raise Refusal(f"has the attribute {name!r}, which is not supported")
