"""Finished layers on disk, so that a tuning that was interrupted goes on where it was.

The folder holds `digest`, of all that the choices depend on, and for each finished layer an npz file of its
choices: integers, their format, and what its steps gave. Maps are not kept: they are computed again.
"""

import json
import os
import re
import secrets
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantflow.arithmetic import Format
from quantflow.datasets import read_arrays
from quantflow.errors import UserError
from quantflow.quantized import MOVING, QuantizedLayer

DIGEST = "digest"
_FILES = re.compile(rf"{DIGEST}|\d{{5}}\.npz|\.quantflow-[0-9a-f]+")


class Checkpoint:
    """The finished layers of one tuning in a folder, which is made if it does not exist.

    What another tuning, of another `digest`, left there is removed. `sentence` says what was found, and is empty
    where nothing was. Raises UserError where the folder cannot be written.
    """

    def __init__(self, folder, digest, layers):
        self.folder, self.sentence = Path(folder), ""
        self._numbers = {layer.name: number for number, layer in enumerate(layers)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / DIGEST
            if not path.is_file() or path.read_bytes() != digest.encode():
                if path.is_file():
                    self.sentence = f"{folder} is of another tuning: this one starts from the first layer"
                _remove_files(self.folder)
                self._write(path, lambda file: file.write(digest.encode()))
            elif done := sum(self._path(layer).is_file() for layer in layers):
                chosen = sum(not isinstance(layer, MOVING) for layer in layers)
                self.sentence = f"{done} of {chosen} layers are kept in {folder}: tuning goes on from there"
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def save(self, tuned, layer, gains):
        """Keep what is chosen for the layer; a file is there as a whole or not at all."""
        if isinstance(layer, MOVING):
            return
        output = tuned.output_format(layer.name)
        arrays = {"output": [output.bits, output.fl, output.signed], "gains": json.dumps(gains)}
        if layer.name in tuned.layers:
            entry = tuned.layers[layer.name]
            arrays["weight"] = entry.weight.astype(Format(bits=entry.weight_bits, fl=0).dtype)
            arrays |= {key: getattr(entry, key) for key in ("weight_bits", "weight_fl", "bias")}
        try:
            self._write(self._path(layer), lambda file: np.savez(file, **arrays))
        except OSError as error:
            raise _unwritable(self.folder, error) from None

    def restore(self, tuned, layer):
        """`tuned` with what is kept for the layer, and the layer's gains; `tuned` and None where nothing is."""
        try:
            arrays = read_arrays(self._path(layer))
            bits, fl, signed = arrays["output"].tolist()
            gains = json.loads(str(arrays["gains"]))
        except (UserError, KeyError, ValueError):
            return tuned, None
        output = Format(bits=bits, fl=fl, signed=bool(signed))
        if "weight" not in arrays:
            return replace(tuned, formats={**tuned.formats, layer.name: output}), gains
        entry = QuantizedLayer(
            name=layer.name,
            weight_bits=int(arrays["weight_bits"]),
            weight=arrays["weight"].astype(np.int32),
            **{key: arrays[key] for key in ("weight_fl", "bias")},
            output=output,
        )
        return replace(tuned, layers={**tuned.layers, layer.name: entry}), gains

    def _path(self, layer):
        return self.folder / f"{self._numbers[layer.name]:05}.npz"

    def _write(self, path, write):
        prepared = self.folder / f".quantflow-{secrets.token_hex(8)}"
        try:
            with open(prepared, "wb") as file:
                write(file)
            os.replace(prepared, path)
        finally:
            prepared.unlink(missing_ok=True)


def remove_checkpoint(folder):
    """Remove a checkpoint's files, and its folder if that holds nothing else; None is none."""
    if folder is None:
        return
    folder = Path(folder)
    try:
        if (folder / DIGEST).is_file():
            _remove_files(folder)
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise _unwritable(folder, error) from None


def _remove_files(folder):
    for path in folder.iterdir():
        if _FILES.fullmatch(path.name):
            path.unlink()


def _unwritable(folder, error):
    return UserError(f"{folder}, where finished layers are kept, cannot be written: {error.strerror or error}")
