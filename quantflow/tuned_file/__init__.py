"""A tuned network on disk: `network.json`, to be read and edited by people, beside `tensors.npz`, the numbers.

`network.json` holds the structure, every choice of the tuner, and how the tuner was called; `tensors.npz` holds
the integers, the choices that they were made for, and the float numbers from which a later step can choose anew.
A choice edited by hand is kept, and the integers follow it (see `choices`). Shifts are not stored: they follow
from the fractional lengths. The digest of `tensors.npz` stands in `network.json`, so that files of two different
runs are never taken for one. docs/tuned_file.md describes every entry.
"""

import hashlib
import os
import secrets
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from quantflow.datasets import read_arrays
from quantflow.errors import UserError
from quantflow.graph import HostOperator, Network
from quantflow.quantized import QuantizedNetwork
from quantflow.tuned_file.choices import (
    choice_arrays,
    format_array,
    read_choices,
    read_input,
    write_choices,
    write_format,
)
from quantflow.tuned_file.layers import layer_arrays, read_layer, write_layer
from quantflow.tuned_file.record import Record, shown
from quantflow.tuned_file.text import parse, readable

FORMAT, VERSION = "quantflow tuned network", 2
STRUCTURE, TENSORS = "network.json", "tensors.npz"


def save(quantized, folder):
    """Write the QuantizedNetwork `quantized` to `folder`, which is made if it does not exist.

    A folder that exists keeps its other files; an earlier tuned network in it is replaced. The new files
    are complete before they take their place. Raises UserError where the folder cannot be written or
    holds files of the same names that are no tuned network, and for layers that the file has no form for.

    What `edits` names is part of the numbers now: it moves to the list `tuning["by_hand"]` in the file.
    """
    folder = Path(folder)
    try:
        _check_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        prepared = folder.parent / f".{folder.name}-{secrets.token_hex(8)}"
        prepared.mkdir()
        try:
            _write(quantized, prepared)
            _move(prepared, folder)
        finally:
            shutil.rmtree(prepared, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from None


def load(folder):
    """Read a folder that `save` wrote: a QuantizedNetwork, with everything in it checked again.

    Choices edited by hand are kept and the integers brought in line with them; each is a sentence in `edits`.
    No code from the files is run. Raises UserError, in one sentence that names the file, the layer and the
    entry, for a missing or damaged file, another version, a choice that is not possible, and any number that
    contradicts another.
    """
    folder = Path(folder)
    root = Record(_read_structure(folder), str(folder / STRUCTURE))
    if root.text("format") != FORMAT:
        raise UserError(f"{folder / STRUCTURE} does not describe a tuned network")
    if root.integer("version") != VERSION:
        raise UserError(
            f"{folder / STRUCTURE} has version {root.integer('version')}, where this quantflow reads version "
            f"{VERSION}: tune the model again"
        )
    digest = root.text("tensors_sha256")
    tensors = read_arrays(folder / TENSORS)
    if _digest(folder / TENSORS) != digest:
        raise UserError(f"{folder / TENSORS} is not the file that {STRUCTURE} beside it was written with")
    return _read(root, tensors)


def _read(root, tensors):
    source = root.record("input")
    name, shape = source.text("name"), source.integers("shape", 3, low=1)
    format, edits = read_input(source, tensors)
    source.finish()
    records = root.records("layers")
    layers, shapes = [], {name: shape}
    for index, record in enumerate(records):
        layers.append(read_layer(record, shapes, tensors, index))
        shapes[layers[-1].name] = layers[-1].output_shape
    if not layers:
        root.fail("layers is empty")
    host = tuple(map(_host, root.records("host"))) if root.has("host") else ()
    network = Network(name=root.text("name"), input_name=name, input_shape=shape, layers=tuple(layers), host=host)
    quantized = QuantizedNetwork(network=network, input=format, layers={}, tuning=_tuning(root))
    root.finish()
    for index, (record, layer) in enumerate(zip(records, layers, strict=True)):
        edits += read_choices(record, layer, quantized, tensors, index)
        record.finish()
    return replace(quantized, edits=tuple(edits))


def _host(record):
    host = HostOperator(operator=record.text("operator"), name=record.text("name"), axis=record.integer("axis", 0, 3))
    record.finish()
    return host


def _tuning(root):
    tuning = root.record("tuning")
    by_hand = tuning.entries.get("by_hand", [])
    if not isinstance(by_hand, list) or not all(isinstance(edit, str) for edit in by_hand):
        tuning.fail(f"by_hand is a list of texts, not {shown(by_hand)}")
    return tuning.entries


def _write(quantized, folder):
    network = quantized.network
    tensors = {"input": format_array(quantized.input)}
    for index, layer in enumerate(network.layers):
        tensors |= layer_arrays(layer, index) | choice_arrays(quantized, layer, index)
    np.savez_compressed(folder / TENSORS, **tensors)
    by_hand = {"by_hand": quantized.by_hand} if quantized.by_hand else {}
    structure = {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "tensors_sha256": _digest(folder / TENSORS),
        "tuning": quantized.tuning | by_hand,
        "input": {"name": network.input_name, "shape": network.input_shape, **write_format(quantized.input)},
        "layers": [write_layer(layer) | write_choices(quantized, layer) for layer in network.layers],
    }
    if network.host:
        structure["host"] = [asdict(operator) for operator in network.host]
    (folder / STRUCTURE).write_text(readable(structure) + "\n", encoding="utf-8")


def _move(prepared, folder):
    """Put the prepared files in place: the whole folder at once if new, else one file after the other."""
    if not folder.exists():
        os.replace(prepared, folder)
        return
    for name in (TENSORS, STRUCTURE):
        os.replace(prepared / name, folder / name)


def _check_replaceable(folder):
    """UserError where writing to `folder` would destroy something that is not a tuned network."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, where a folder is to be written")
    present = [name for name in (STRUCTURE, TENSORS) if (folder / name).exists()]
    if not present:
        return
    try:
        structure = _read_structure(folder)
    except UserError:
        structure = {}
    if structure.get("format") != FORMAT:
        raise UserError(f"{folder} holds a file {present[0]} that is not of a tuned network: choose another folder")


def _read_structure(folder):
    path = folder / STRUCTURE
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a tuned network: it has no {STRUCTURE}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not valid JSON") from None


def _digest(path):
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
