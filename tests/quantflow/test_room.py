"""Where the tuner's maps lie: in memory up to a budget, then on disk."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from quantflow import threads
from quantflow.errors import UserError
from quantflow.tuner import room as room_module
from quantflow.tuner.room import Room, Stream, release


def test_what_lives_at_a_time_takes_the_budget_at_most():
    room = Room(100)
    first, second = room.array((5, 10), np.int8), room.array((25,), np.int16)
    third = room.array((1,), np.int8)
    assert [isinstance(array, np.memmap) for array in (first, second, third)] == [False, False, True]
    assert [array.dtype for array in (first, second, third)] == [np.int8, np.int16, np.int8]
    del second
    assert not isinstance(room.array((50,), np.int8), np.memmap)


def test_a_view_keeps_the_room_taken():
    room = Room(100)
    view = room.array((100,), np.int8)[3:5]
    assert isinstance(room.array((1,), np.int8), np.memmap)
    assert len(view) == 2


def test_the_budget_has_a_default(monkeypatch):
    monkeypatch.setattr(room_module, "MEMORY_BYTES", 11)
    assert not isinstance(Room().array((11,), np.int8), np.memmap)
    assert isinstance(Room().array((2, 3), np.int16), np.memmap)


def test_arrays_on_disk_keep_their_values_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = Room(0).array((4, 3), np.float32)

    def fill(s):
        array[s] = np.arange(12).reshape(4, 3)[s]

    Stream([slice(0, 2), slice(2, 4)], array, np.zeros(3)).map(fill)
    release(array)
    assert array.tolist() == np.arange(12).reshape(4, 3).tolist()
    assert not list(tmp_path.iterdir())


def test_a_stream_can_be_read_again():
    slices = [slice(0, 2), slice(2, 3)]
    stream = Stream(slices)
    assert stream.map(lambda s: s) == stream.map(lambda s: s) == slices


def resident_file_kilobytes():
    """Memory of this process that pages of files take."""
    return int(re.search(r"RssFile:\s*(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, as Linux has it")
def test_a_stream_gives_back_what_it_touched(monkeypatch):
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    array = Room(0).array((64, 1 << 20), np.int8)
    before = resident_file_kilobytes()

    def fill(s):
        array[s] = 1
        return resident_file_kilobytes() - before

    most = max(Stream([slice(n, n + 4) for n in range(0, 64, 4)], array).map(fill))
    assert 3 << 10 < most < 16 << 10
    assert array[::4].all() and resident_file_kilobytes() - before > 12 << 10
    release(array)
    assert resident_file_kilobytes() - before < 2 << 10


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate")
def test_a_full_disk_is_said_before_anything_is_written(monkeypatch):
    def full(descriptor, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    sentence = (
        "^the maps beyond the memory limit need 1.00 GiB more in .* [(]No space left on device[)]: free some, set"
    )
    with pytest.raises(UserError, match=sentence):
        Room(0).array((1 << 30,), np.int8)
