"""What the tests of tuned networks on disk share: comparing networks, and damaging or editing their files."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from quantflow.errors import UserError
from quantflow.tuned_file import load


def assert_equal(a, b):
    """Every field of two tuned networks, types of numbers included."""
    assert (a.network.name, a.network.input_name, a.network.host) == (
        b.network.name,
        b.network.input_name,
        b.network.host,
    )
    assert (a.input, a.network.input_shape) == (b.input, b.network.input_shape)
    assert (a.formats, a.layers.keys()) == (b.formats, b.layers.keys())
    assert a.by_hand == b.by_hand
    for x, y in zip(a.network.layers, b.network.layers, strict=True):
        assert_equal_fields(x, y)
    for name in a.layers:
        assert_equal_fields(a.layers[name], b.layers[name])


def assert_equal_fields(x, y):
    assert type(x) is type(y)
    for field in dataclasses.fields(x):
        p, q = getattr(x, field.name), getattr(y, field.name)
        if isinstance(p, np.ndarray):
            assert (p.dtype, p.shape) == (q.dtype, q.shape), field.name
            assert np.array_equal(p, q), field.name
        else:
            assert p == q, field.name


def structure_of(folder):
    """The parsed network.json."""
    return json.loads((folder / "network.json").read_text())


def rewrite(folder, change):
    """Apply `change` to the parsed network.json."""
    structure = structure_of(folder)
    change(structure)
    (folder / "network.json").write_text(json.dumps(structure))


def entry(name, *keys):
    """A change of one entry, of the layer `name` or (None) of the whole file.

    entry("fc1", "output", "fl")(value) is such a change; KeyError as the value removes the entry.
    """

    def with_value(value):
        def change(structure):
            target = structure
            if name is not None:
                target = next(layer for layer in structure["layers"] if layer["name"] == name)
            for key in keys[:-1]:
                target = target[key]
            if value is KeyError:
                del target[keys[-1]]
            else:
                target[keys[-1]] = value

        return change

    return with_value


def rewrite_tensors(folder, arrays):
    """Replace arrays (None: remove) and make the digest right again."""
    with np.load(folder / "tensors.npz") as stored:
        tensors = {**stored, **arrays}
    np.savez(folder / "tensors.npz", **{name: array for name, array in tensors.items() if array is not None})
    digest = hashlib.sha256((folder / "tensors.npz").read_bytes()).hexdigest()
    rewrite(folder, lambda structure: structure.update(tensors_sha256=digest))


def refused(folder, message):
    """`load` refuses the folder in one sentence that `message`, a pattern, is found in; returns it."""
    with pytest.raises(UserError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)
