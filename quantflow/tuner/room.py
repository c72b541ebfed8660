"""Room for the feature maps of a whole calibration set: in memory up to a budget, beyond it on disk.

Arrays on disk are memory maps of unnamed files in the folder for temporary files (TMPDIR). What was read of them
or written to them counts as memory of the process until it is given back, after each batch: `Stream`.
"""

import math
import mmap
import os
import tempfile
import weakref

import numpy as np

from quantflow.errors import UserError
from quantflow.threads import each
from quantflow.wording import gibibytes

MEMORY_BYTES = 4 << 30  # of maps in memory, where nothing else is asked for


class Room:
    """Gives arrays; those that live at the same time take at most `budget` bytes of memory."""

    def __init__(self, budget=None):
        self.budget = MEMORY_BYTES if budget is None else budget
        self._taken = 0

    def array(self, shape, dtype):
        """An uninitialised array. UserError where the disk has no room for what the budget does not hold."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self._taken + size > self.budget:
            return _on_disk(shape, dtype, size)
        array = np.empty(shape, dtype)
        self._taken += size
        weakref.finalize(array, self._give_back, size)
        return array

    def _give_back(self, size):
        self._taken -= size


def _on_disk(shape, dtype, size):
    with tempfile.TemporaryFile() as file:
        try:
            # A file with holes would end the process once the disk is full.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype=dtype, mode="r+", shape=shape)
        except OSError as error:
            raise UserError(
                f"the maps beyond the memory limit need {gibibytes(size)} more in {tempfile.gettempdir()} "
                f"({error.strerror}): free some, set TMPDIR to another folder, or allow more memory"
            ) from None


class Stream:
    """Goes over slices, any number of times, and gives back what each one touched of arrays on disk."""

    def __init__(self, slices, *arrays):
        self._slices, self._arrays = slices, arrays

    def map(self, function):
        """[function(s) for each slice s], on all cores: see `threads.each`."""

        def step(s):
            result = function(s)
            for array in self._arrays:
                release(array)
            return result

        return each(step, self._slices)


def release(array):
    """Give back the memory that pages of an array on disk take; its values stay. Nothing for others."""
    if isinstance(array, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        array._mmap.madvise(mmap.MADV_DONTNEED)
