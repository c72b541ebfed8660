"""The float network's layers in the file: one short description of each kind, written and read by one walk.

A kind's `entries` are what its objects in `network.json` have beside the common ones; its `arrays` are in
`tensors.npz`. An entry at its default is left out. On reading, the shapes must follow from the inputs'.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from quantflow import graph
from quantflow.errors import UserError
from quantflow.quantized import WEIGHTED
from quantflow.tuned_file import shapes
from quantflow.tuned_file.record import MAX_SIZE, shown, title
from quantflow.tuned_file.tensors import floats

NEEDED = object()  # in place of a default


@dataclass(frozen=True)
class Entry:
    """One entry of an object in the file, and the attribute of the same name."""

    name: str
    read: Callable  # of the Record and the name: the attribute
    default: object = NEEDED
    write: Callable = lambda value: value  # the attribute as JSON


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of layer; `shape` gives the output's [C, H, W], or refuses, and `arrays` the arrays' shapes.

    `shape` is one of `shapes`; each function of `arrays` is called with the entries' values, the input's [C, H, W]
    and the output's channels.
    """

    type: type
    entries: tuple[Entry, ...] = ()
    inputs: tuple[int, int, str] = (1, 1, "one earlier map")  # fewest, most, in words
    shape: Callable
    arrays: dict[str, Callable] = field(default_factory=dict)


def write_layer(layer):
    """The layer's object, without the choices of its formats."""
    name, kind = _kind_of(layer)
    return {
        "name": layer.name,
        "kind": name,
        "inputs": layer.inputs,
        "input_shape": layer.input_shape,
        "output_shape": layer.output_shape,
        **_written(layer, kind.entries),
    }


def layer_arrays(layer, index):
    """The layer's float arrays by their names in `tensors.npz`."""
    kind = _kind_of(layer)[1]
    return {_array_name(kind, index, name): getattr(layer, name).astype(np.float32, copy=False) for name in kind.arrays}


def read_layer(record, maps, tensors, index):
    """One float layer, whose inputs are among `maps` (name to [C, H, W] of every earlier map)."""
    name = record.text("name")
    if name in maps:
        record.fail(f"the name {shown(name)} is taken by an earlier map")
    record.where = record.where.rpartition(": ")[0] + f": layer {title(name)}"
    kind = KINDS.get(record.text("kind"))
    if kind is None:
        record.fail(f"kind is one of {', '.join(KINDS)}, not {shown(record.text('kind'))}")
    inputs = _read_inputs(record, kind, maps)
    output_shape = record.integers("output_shape", 3, low=1)
    values = _read(record, kind.entries)
    if values.get("maximum") is not None:
        _check_bound(record, values, output_shape[0])
    sources = [maps[name] for name in inputs]
    expected = kind.shape(record, values, sources, output_shape)
    if output_shape != expected:
        record.fail(f"output_shape is {list(expected)} for this input, not {list(output_shape)}")
    if math.prod(output_shape) > shapes.MAX_MAP:
        record.fail(f"output_shape makes a map of {math.prod(output_shape)} values, more than {shapes.MAX_MAP}")
    for array, shape in kind.arrays.items():
        shape = shape(values, sources[0], output_shape[0])
        values[array] = floats(record, tensors, _array_name(kind, index, array), shape)
    return kind.type(name=name, inputs=inputs, input_shape=sources[0], output_shape=output_shape, **values)


def _read_inputs(record, kind, maps):
    least, most, words = kind.inputs
    inputs = record.texts("inputs")
    if not least <= len(inputs) <= most or not set(inputs) <= set(maps):
        record.fail(f"inputs names {words}, not {shown(list(inputs))}")
    first, input_shape = maps[inputs[0]], record.integers("input_shape", 3, low=1)
    if input_shape != first:
        record.fail(f"input_shape is {list(input_shape)}, where {title(inputs[0])} gives {list(first)}")
    return inputs


def _check_bound(record, values, channels):
    if not values.get("relu", True):
        record.fail("maximum is given only where relu is true")
    if np.ndim(values["maximum"]) and len(values["maximum"]) != channels:
        record.fail(f"maximum is one number or {channels}, not {len(values['maximum'])}")


def _kind_of(layer):
    """(name, Kind) of a layer."""
    for name, kind in KINDS.items():
        if type(layer) is kind.type:
            return name, kind
    raise UserError(f"layer {layer.name} is of the kind {type(layer).__name__}, which the file has no form for")


def _array_name(kind, index, array):
    """`3.float_weight`: a layer with weights has integers of the same name beside its floats."""
    return f"{index}.{'float_' if kind.type in WEIGHTED else ''}{array}"


def _written(thing, entries):
    values = ((entry, getattr(thing, entry.name)) for entry in entries)
    return {entry.name: entry.write(value) for entry, value in values if not _is_default(value, entry.default)}


def _is_default(value, default):
    """Whether an entry can be left out; an array is never a default."""
    return default is not NEEDED and not isinstance(value, np.ndarray) and value == default


def _read(record, entries):
    return {
        entry.name: entry.read(record, entry.name)
        if record.has(entry.name) or entry.default is NEEDED
        else entry.default
        for entry in entries
    }


def _integers(count, low=0):
    return lambda record, name: record.integers(name, count, low)


def _number(record, name):
    return record.number(name)


def _flag(record, name):
    return record.flag(name)


def _bound(record, name):
    """null, a number above 0, or a list of them, one for each output channel: float32 [C]."""
    if isinstance(record.value(name), list):
        values = np.array(record.numbers(name), np.float32)
    elif record.value(name) is None:
        return None
    else:
        values = record.number(name)
    if np.min(values) <= 0:
        record.fail(f"{name} is above 0, not {np.min(values):g}")
    return values


_WINDOW = (
    Entry("kernel", _integers(2, low=1)),
    Entry("stride", _integers(2, low=1), (1, 1)),
    Entry("padding", _integers(4), (0, 0, 0, 0)),
    Entry("dilation", _integers(2, low=1), (1, 1)),
)


def _window(record, name):
    inner = record.record(name)
    values = _read(inner, _WINDOW)
    inner.finish()
    return graph.Window(**values)


WINDOW = Entry("window", _window, write=lambda window: _written(window, _WINDOW))
MAXIMUM = Entry("maximum", _bound, None, write=lambda bound: np.asarray(bound, np.float64).tolist())
RECTIFIER = (Entry("relu", _flag, False), MAXIMUM)


_BIAS = {"bias": lambda values, shape, outputs: (outputs,)}

KINDS = {
    "convolution": Kind(
        type=graph.Convolution,
        entries=(WINDOW, Entry("groups", lambda record, name: record.integer(name, 1), 1), *RECTIFIER),
        inputs=(1, 2, "one earlier map, or two"),
        shape=shapes.convolved,
        arrays={
            "weight": lambda values, shape, outputs: (outputs, shape[0] // values["groups"], *values["window"].kernel),
            **_BIAS,
        },
    ),
    "dense": Kind(
        type=graph.Dense,
        entries=RECTIFIER,
        shape=shapes.dense,
        arrays={"weight": lambda values, shape, outputs: (outputs, math.prod(shape)), **_BIAS},
    ),
    "max_pool": Kind(type=graph.MaxPool, entries=(WINDOW,), shape=shapes.pooled),
    "average_pool": Kind(
        type=graph.AveragePool,
        entries=(WINDOW, Entry("count_include_pad", _flag, False), *RECTIFIER),
        shape=shapes.pooled,
    ),
    "add": Kind(type=graph.Add, entries=RECTIFIER, inputs=(2, 2, "two earlier maps"), shape=shapes.added),
    "concat": Kind(type=graph.Concat, inputs=(1, MAX_SIZE, "earlier maps"), shape=shapes.joined),
    "slice": Kind(
        type=graph.Slice,
        entries=(Entry("start", _integers(3)), Entry("step", _integers(3, low=1), (1, 1, 1))),
        shape=shapes.cut,
    ),
    "pad": Kind(
        type=graph.Pad,
        entries=(Entry("before", _integers(3)), Entry("after", _integers(3)), Entry("value", _number, 0.0)),
        shape=shapes.padded,
    ),
    "reshape": Kind(type=graph.Reshape, shape=shapes.reshaped),
    "activation": Kind(
        type=graph.Activation,
        entries=(MAXIMUM,),
        shape=shapes.same,
        arrays={"slope": lambda values, shape, outputs: (outputs,)},
    ),
}
