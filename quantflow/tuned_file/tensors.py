"""Arrays of `tensors.npz`, each taken with its shape, type and range checked; `record` says where it is asked for."""

import numpy as np


def integers(record, tensors, name, shape, low, high, dtype=np.int64):
    """The integers in array `name`, each in [low, high]."""
    values = _array(record, tensors, name, shape)
    if values.dtype.kind not in "iu":
        record.fail(f"{name} in tensors.npz holds {values.dtype} values, not integers")
    for value in (int(values.min()), int(values.max())):
        if not low <= value <= high:
            record.fail(f"{name} in tensors.npz holds {value}, outside {low} to {high}")
    return values.astype(dtype)


def floats(record, tensors, name, shape):
    """The finite float32 numbers in array `name`."""
    values = _array(record, tensors, name, shape)
    if values.dtype != np.float32 or not np.isfinite(values).all():
        record.fail(f"{name} in tensors.npz is not finite float32 throughout")
    return values


def _array(record, tensors, name, shape):
    if name not in tensors:
        record.fail(f"tensors.npz has no array {name}")
    if tensors[name].shape != shape:
        record.fail(f"{name} in tensors.npz has shape {list(tensors[name].shape)}, not {list(shape)}")
    return tensors[name]
