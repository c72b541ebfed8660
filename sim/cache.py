"""The folder of built simulations: a folder a build, those unused for longest removed first.

A folder's own time of change is the time of its build's last use.
"""

import os
import re
import shutil
import time
from pathlib import Path

OURS = re.compile(r".+-[0-9a-f]{24}(\.\d+)?")  # names of builds, with a process's number of unfinished ones
MOST_BYTES = 2 << 30  # kept in all
SPARED_SECONDS = 3600  # what was used within this time may be running, or still be built: it is not removed


def cache_folder():
    """Where built simulations are kept: $QUANTFLOW_CACHE, or the user's cache folder."""
    if "QUANTFLOW_CACHE" in os.environ:
        return Path(os.environ["QUANTFLOW_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "quantflow"


def use(folder):
    """Whether the cache has this folder; if so, it is used now."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    return True


def keep(partial, folder, *, file):
    """Move a finished build to its place in the cache with this file only: the rest was for the compiler."""
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != file:
            path.unlink()
    try:
        partial.rename(folder)
    except OSError:  # another process finished the same build first
        shutil.rmtree(partial)
    remove_oldest(folder.parent)


def remove_oldest(cache, most_bytes=MOST_BYTES):
    """Remove the builds unused for longest until no more than `most_bytes` are left, and nothing else."""
    builds = [folder for folder in cache.iterdir() if OURS.fullmatch(folder.name)]
    total = 0
    for last_use, size, folder in sorted(((*_last_use_and_bytes(each), each) for each in builds), reverse=True):
        total += size
        if total > most_bytes and last_use < time.time() - SPARED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _last_use_and_bytes(folder):
    """(time, bytes) of a folder; zeros if another process has just renamed or removed it."""
    try:
        return folder.stat().st_mtime, sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0, 0
