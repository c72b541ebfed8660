"""The driver in a build folder, for boards on which quantflow is not installed: its files and those that they import.

What runs on the board is what runs in simulation, file by file. It needs Python 3.10, which PYNQ has since its
version 3.0, numpy and, for a serial line, pyserial.
"""

import ast
from pathlib import Path

from boards.driver.headers import c_headers

ROOT = Path(__file__).parents[2]
ROOMS = ("boards", "quantflow")  # whose files are copied; everything else must be there
MODULES = ("boards.driver", "boards.driver.litex_link", "boards.driver.pynq", "boards.driver.serial_line")
DRIVER, C = "driver", "c"  # folders in a build folder, the one in the other
C_FILES = ("quantflow.h", "quantflow.c", "quantflow_layout.c", "quantflow_mapped.c")


def driver_files(manifest, model):
    """A build's drivers in Python and in C99, as path in the build folder to text."""
    own = Path(__file__).with_name(C)
    c_files = {name: (own / name).read_text() for name in C_FILES} | c_headers(manifest, model)
    files = carried_files() | {f"{C}/{name}": text for name, text in c_files.items()}
    return {f"{DRIVER}/{path}": text for path, text in files.items()}


def carried_files():
    """The copies in Python as path to text; where a package is only on the way, an empty `__init__.py`."""
    files, waiting = {}, list(MODULES)
    while waiting:
        path = _file(waiting.pop())
        if path is None or path in files:
            continue
        files[path] = (ROOT / path).read_text()
        waiting += _imports(files[path])
    packages = {parent / "__init__.py" for path in files for parent in path.parents if parent != Path()}
    return {str(path): text for path, text in sorted(({path: "" for path in packages} | files).items())}


def _file(module):
    """A module's file, from the root; None where it is none of ROOMS."""
    names = module.split(".")
    if names[0] not in ROOMS:
        return None
    for path in (Path(*names).with_suffix(".py"), Path(*names, "__init__.py")):
        if (ROOT / path).is_file():
            return path
    return None


def _imports(source):
    """What a file imports when it is imported itself; a name may turn out to be a module or something in one."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            # A package that only submodules are taken from is not needed itself.
            found += names if all(map(_file, names)) else [node.module, *names]
    return found
