"""Room for the feature maps of a whole calibration set: in memory, or on disk where they are large."""

import tempfile

import numpy as np

MEMORY_BYTES = 256 << 20  # larger arrays lie in a temporary file


def room(shape, dtype):
    """An uninitialised array; a large one is a memory map of an unnamed file that goes with it."""
    count = int(np.prod(shape))
    if count * np.dtype(dtype).itemsize <= MEMORY_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
