"""Reading an ONNX file: everything that can be wrong before its graph is looked at."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from quantflow.errors import UserError

STANDARD_DOMAINS = ("", "ai.onnx")  # two spellings of ONNX's own operator set
MIN_OPSET, MAX_OPSET = 7, 28  # the meaning of every supported operator is known in between
MAX_BYTES = 2**31 - 1  # protobuf's own limit
MAX_NODES = 10_000
MAX_PORTS = 1 << 10  # inputs and outputs of one node
MAX_NAME = 1 << 10  # characters


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A parsed ONNX file; its weights are still where the file has them."""

    path: Path
    proto: onnx.ModelProto
    opset: int  # version of ONNX's own operator set

    @property
    def graph(self):
        return self.proto.graph

    @property
    def local_functions(self):
        """Operators that the file itself defines, as (domain, operator)."""
        return {(domain_of(function), function.name) for function in self.proto.functions}


def domain_of(proto):
    """The domain of a node, function or operator set, one spelling each."""
    return "" if proto.domain in STANDARD_DOMAINS else proto.domain


def read_model(path):
    """Parse the ONNX file at `path`; raises UserError if it is not one, or not one we can read."""
    path = Path(path)
    content = _content(path)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError:
        # A model begins with field 1, its format's version: what begins so was probably one once.
        cause = "is a truncated or damaged ONNX file" if content[:1] == b"\x08" else "is not an ONNX file"
        raise UserError(f"{path} {cause}: it cannot be parsed; export the model again") from None
    if not proto.HasField("graph") or proto.ir_version < 1:
        raise UserError(f"{path} is not an ONNX file, or only the beginning of one: it holds no graph")
    if not _readable(proto):
        raise UserError(f"{path} is a damaged ONNX file: a name in it is not text; export the model again")
    _check_extent(path, proto.graph)
    return Model(path=path, proto=proto, opset=_opset(path, proto))


def _content(path):
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the ONNX file itself")
        if not path.exists():
            raise UserError(f"there is no file {path}; give the path of an ONNX file")
        if not path.is_file():
            raise UserError(f"{path} is not a regular file; give the path of an ONNX file")
        size = path.stat().st_size
        if size == 0:
            raise UserError(f"{path} is empty; an ONNX file is expected")
        if size > MAX_BYTES:
            raise UserError(f"{path} has {size} bytes; an ONNX file has at most {MAX_BYTES}")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"the file {str(path)!r} cannot be read: {reason}") from None


def _readable(message):
    """Whether every string in a protobuf message is UTF-8; protobuf hands out the others as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        values = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        fine = _readable if field.type == field.TYPE_MESSAGE else lambda text: isinstance(text, str)
        if not all(map(fine, values)):
            return False
    return True


def _check_extent(path, graph):
    """Refuse graphs so large that handling them alone takes long."""
    if len(graph.node) > MAX_NODES:
        raise UserError(f"{path} has {len(graph.node)} nodes; at most {MAX_NODES} are supported")
    outputs = sum(len(node.output) for node in graph.node)
    if outputs > 2 * MAX_NODES:
        raise UserError(f"{path} has nodes with {outputs} outputs in all; at most {2 * MAX_NODES} are supported")
    ports = max((len(node.input) + len(node.output) for node in graph.node), default=0)
    if ports > MAX_PORTS:
        raise UserError(f"{path} has a node of {ports} inputs and outputs; at most {MAX_PORTS} are supported")
    longest = max(map(len, _names(graph)), default=0)
    if longest > MAX_NAME:
        raise UserError(f"{path} has a name of {longest} characters; at most {MAX_NAME} are supported")


def _names(graph):
    """Every name that may come up in what we say."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    yield from (each.name for each in (*graph.input, *graph.output, *graph.initializer))


def _opset(path, proto):
    versions = {entry.version for entry in proto.opset_import if domain_of(entry) == ""}
    if len(versions) != 1:
        declared = "several opset versions" if versions else "no opset version"
        raise UserError(f"{path} declares {declared} of ONNX's operators; exactly one is expected")
    (opset,) = versions
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UserError(
            f"{path} uses opset {opset}; {MIN_OPSET} to {MAX_OPSET} are supported: export it again "
            f"with one of these"
        )
    return opset
