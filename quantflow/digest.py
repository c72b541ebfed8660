"""What results depend on, in one number: whether something that was kept may be used again."""

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from quantflow import tuner


def digest(*values):
    """SHA-256, as hexadecimal text, of anything made of dataclasses, arrays, dicts, sequences, texts and numbers.

    Other things count by their `repr`.
    """
    found = hashlib.sha256()
    _update(found, values)
    return found.hexdigest()


def tuner_digest():
    """The digest of the tuner's own source: another one may choose otherwise."""
    return digest(*(file.read_bytes() for file in sorted(Path(tuner.__file__).parent.glob("*.py"))))


def _update(found, value):
    if isinstance(value, np.ndarray):
        found.update(f"array {value.dtype} {value.shape};".encode())
        found.update(np.ascontiguousarray(value))
    elif is_dataclass(value):
        found.update(f"{type(value).__name__};".encode())
        _update(found, {field.name: getattr(value, field.name) for field in fields(value)})
    elif isinstance(value, dict):
        found.update(b"dict;")
        _update(found, [*value, *value.values()])
    elif isinstance(value, list | tuple):
        found.update(f"sequence {len(value)};".encode())
        for each in value:
            _update(found, each)
    else:
        found.update(f"{value!r};".encode())
