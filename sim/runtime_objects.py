"""Verilator's own runtime, compiled once instead of once for each design.

    python -m sim.runtime_objects CACHE BUILD

puts the compiled runtime from CACHE, where there is one for these options, into BUILD, a folder that
Verilator has just written its makefiles to; make then finds it up to date. `keep` puts what a
finished build has compiled into the cache.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path

OBJECTS = "verilated*.o"  # of the runtime; everything else depends on the design


def provide(cache, build):
    """Copy the runtime's objects, if the cache has them, into the build's folder."""
    place = _place(cache, build)
    if place.exists():
        os.utime(place)  # the cache keeps what was used last
    for file in place.glob(OBJECTS):
        shutil.copy(file, build)  # newer than the makefiles, or make would compile it again


def keep(cache, build):
    """Copy what the build has compiled of the runtime to the cache, unless it is there."""
    place = _place(cache, build)
    place.mkdir(parents=True, exist_ok=True)
    for file in build.glob(OBJECTS):
        if not (place / file.name).exists():
            partial = place / f"{file.name}.{os.getpid()}"
            shutil.copy(file, partial)
            os.replace(partial, place / file.name)


def _place(cache, build):
    """The cache's folder for one Verilator and one set of compiler options."""
    source = Path(os.environ.get("VERILATOR_ROOT", "")) / "include" / "verilated.cpp"
    version = (str(source), source.stat().st_mtime_ns) if source.exists() else shutil.which("verilator")
    options = [line for line in (build / "Vtop_classes.mk").read_text().splitlines() if _is_option(line)]
    options.append((build / "Vtop.mk").read_text().partition("VM_USER_CFLAGS")[2].partition("VM_USER_LDLIBS")[0])
    key = repr((version, options, os.environ.get("MAKEFLAGS")))
    return Path(cache) / f"runtime-{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def _is_option(line):
    """An assignment of a number, such as VM_TRACE = 0, not a list of files."""
    name, _, value = line.partition(" = ")
    return name.startswith("VM_") and value.strip().isdigit()


if __name__ == "__main__":
    provide(Path(sys.argv[1]), Path(sys.argv[2]))
