"""The cache of built simulations: what was used last is kept."""

import hashlib
import os
import time

from sim import cache

DAY = 86400


def _named(name):
    """As the folder of a build is named."""
    return f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def _build(folder, *, used, size):
    folder.mkdir()
    (folder / "top").write_bytes(bytes(size))
    os.utime(folder, (used, used))


def _left(folder):
    return {each.name.split("-")[0] for each in folder.iterdir()}


def test_the_longest_unused_is_removed_first(tmp_path):
    """Until the rest is small enough; what was just used stays, however large."""
    for age, name in enumerate(("now", "yesterday", "before", "long ago")):
        _build(tmp_path / _named(name), used=time.time() - age * DAY, size=1000)
    _build(tmp_path / f"{_named('unfinished')}.1234", used=0, size=1000)
    cache.remove_oldest(tmp_path, most_bytes=2500)
    assert _left(tmp_path) == {"now", "yesterday"}
    cache.remove_oldest(tmp_path, most_bytes=10)
    assert _left(tmp_path) == {"now"}


def test_what_is_no_build_is_not_removed(tmp_path):
    """The user may name a folder that holds other things."""
    names = ("photographs", "my-thesis", "top-0123456789abcdef")
    for name in names:
        _build(tmp_path / name, used=0, size=1000)
    cache.remove_oldest(tmp_path, most_bytes=10)
    assert {folder.name for folder in tmp_path.iterdir()} == set(names)


def test_used_again(tmp_path):
    old, newer = tmp_path / _named("old"), tmp_path / _named("newer")
    _build(old, used=0, size=1000)
    _build(newer, used=DAY, size=1000)
    assert cache.use(old) and not cache.use(tmp_path / "other")
    cache.remove_oldest(tmp_path, most_bytes=1500)
    assert _left(tmp_path) == {"old"}


def test_the_same_build_twice(tmp_path):
    """The one that was finished first stays, and no folder of the other."""
    for name in ("done", "partial"):
        _build(tmp_path / name, used=0, size=5)
    cache.keep(tmp_path / "partial", tmp_path / "done", file="top")
    assert [folder.name for folder in tmp_path.iterdir()] == ["done"]
