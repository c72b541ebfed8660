"""A tuned network on disk: `network.json`, to be read by people, beside `tensors.npz`, the numbers.

`network.json` holds the structure and every choice of the tuner; `tensors.npz` holds, for layer i that has
weights, `i.weight` and `i.bias` (the integers) and `i.float_weight` and `i.float_bias` (from which a later
step can choose anew). Shifts are not stored: they follow from the fractional lengths. The digest of
`tensors.npz` stands in `network.json`, so that files of two different runs are never taken for one.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from quantflow.capabilities import check_supported
from quantflow.datasets import read_arrays
from quantflow.errors import UserError
from quantflow.quantized import QuantizedNetwork
from quantflow.tuned_record import Record, layer_to_json, network_from_record, weights_from_record

FORMAT, VERSION = "quantflow tuned network", 1
STRUCTURE, TENSORS = "network.json", "tensors.npz"


def save(quantized, folder):
    """Write the QuantizedNetwork `quantized` to `folder`, which is made if it does not exist.

    A folder that exists keeps its other files; an earlier tuned network in it is replaced. The new files
    are complete before they take their place. Raises UserError where the folder cannot be written or
    holds files of the same names that are no tuned network, and for layers that the file has no form for.
    """
    check_supported(quantized.network, "a tuned network's file")
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

    No code from the files is run. Raises UserError, in one sentence that names the file and the entry,
    for a missing or damaged file, another version, and any number that contradicts another.
    """
    folder = Path(folder)
    root = Record(_read_structure(folder), str(folder / STRUCTURE))
    if root.text("format") != FORMAT:
        raise UserError(f"{folder / STRUCTURE} does not describe a tuned network")
    if root.integer("version") != VERSION:
        raise UserError(
            f"{folder / STRUCTURE} has version {root.integer('version')}, where this quantflow reads version {VERSION}"
        )
    digest = root.text("tensors_sha256")
    tensors = read_arrays(folder / TENSORS)
    if _digest(folder / TENSORS) != digest:
        raise UserError(f"{folder / TENSORS} is not the file that {STRUCTURE} beside it was written with")
    network, input_format, tuned = network_from_record(root, tensors)
    quantized = QuantizedNetwork(network=network, input=input_format, layers={})
    for index, record in tuned.items():
        layer = network.layers[index]
        quantized.layers[layer.name] = weights_from_record(
            record, layer, quantized.output_format(layer.inputs[0]), tensors, index
        )
    return quantized


def _write(quantized, folder):
    network, tensors = quantized.network, {}
    for index, layer in enumerate(network.layers):
        if layer.name in quantized.layers:
            entry = quantized.layers[layer.name]
            weight_type = np.int8 if entry.weight_bits <= 8 else np.int16
            tensors[f"{index}.weight"] = entry.weight.astype(weight_type)
            tensors[f"{index}.bias"] = entry.bias.astype(np.int64)
            tensors[f"{index}.float_weight"] = layer.weight.astype(np.float32)
            tensors[f"{index}.float_bias"] = layer.bias.astype(np.float32)
    np.savez_compressed(folder / TENSORS, **tensors)
    structure = {
        "format": FORMAT,
        "version": VERSION,
        "name": network.name,
        "tensors_sha256": _digest(folder / TENSORS),
        "input": {
            "name": network.input_name,
            "shape": list(network.input_shape),
            "bits": quantized.input.bits,
            "fl": quantized.input.fl,
        },
        "layers": [layer_to_json(layer, quantized.layers.get(layer.name)) for layer in network.layers],
    }
    if network.host:
        structure["host"] = [asdict(operator) for operator in network.host]
    (folder / STRUCTURE).write_text(_readable(structure), encoding="utf-8")


def _readable(structure):
    """Indented JSON with each list of plain values on one line; JSON strings hold no raw line breaks."""
    text = json.dumps(structure, indent=2)
    return re.sub(r"\[\n[^][{}]*\n *\]", _one_line, text) + "\n"


def _one_line(match):
    return re.sub(r"\n *", " ", match[0]).replace("[ ", "[", 1)[:-2] + "]"


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
        structure = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a tuned network: it has no {STRUCTURE}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not valid JSON") from None
    if not isinstance(structure, dict):
        raise UserError(f"{path} does not describe a tuned network")
    return structure


def _digest(path):
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
