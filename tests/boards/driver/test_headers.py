"""The headers of the driver in C: what a compiler makes of them is what the manifest says."""

import ctypes
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import boards
from boards.driver.headers import NETWORK_HEADER, c_headers, registers_header
from quantflow.compiler import compile_network
from quantflow.manifest import Manifest
from quantflow.registers import Error, Register
from tests.boards.driver.builds import CONFIG, small_network
from tests.boards.driver.c_driver import WARNINGS, write_driver

NAMES = ('conv "1"', "pool\\n??/", "é\n%s")


def built(**machine):
    config = replace(CONFIG, **machine)
    deployment = compile_network(small_network().finish(), config)
    return Manifest.of(deployment, replace(boards.find("pynq-z2"), config=config))


def compiled(manifest, folder, expressions):
    """Values of C expressions of numbers and of strings, by the header of a build."""
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler is installed")
    write_driver(manifest, bytes(100), folder)
    strings = [each for each in expressions if each.endswith("name")]
    numbers = [each for each in expressions if each not in strings]
    source = '#include "network.h"\n'
    source += "".join(f"unsigned long number{n}(void) {{ return {each}; }}\n" for n, each in enumerate(numbers))
    source += "".join(f"const char *string{n}(void) {{ return {each}; }}\n" for n, each in enumerate(strings))
    (folder / "values.c").write_text(source)
    command = [compiler, "-std=c99", "-trigraphs", "-shared", "-fPIC", f"-I{folder / 'driver' / 'c'}"]
    subprocess.run([*command, str(folder / "values.c"), "-o", str(folder / "values.so")], check=True)
    library, found = ctypes.CDLL(str(folder / "values.so")), {}
    for kind, names, type_ in (("number", numbers, ctypes.c_ulong), ("string", strings, ctypes.c_char_p)):
        for n, name in enumerate(names):
            function = getattr(library, f"{kind}{n}")
            function.restype = type_
            found[name] = function()
    return found


def test_numbers_and_names(tmp_path):
    manifest = built()
    stages = [replace(stage, name=NAMES[n % 3] + str(n)) for n, stage in enumerate(manifest.stages)]
    manifest = replace(manifest, stages=tuple(stages))
    (model, size), *_, (work, _) = manifest.regions()
    expected = {
        "QUANTFLOW_PROFILE_CYCLES": Register.PROFILE_CYCLES,
        "QUANTFLOW_ERROR_DAMAGED_PROGRAM": Error.DAMAGED_PROGRAM,
        "quantflow_build.identity": manifest.identity,
        "quantflow_build.model_bytes": 100,
        "quantflow_build.region_bases[0]": model,
        "quantflow_build.region_sizes[0]": size,
        "quantflow_build.region_bases[3]": work,
        "quantflow_build.warm.length": len(manifest.programs["warm"].instructions),
        "quantflow_build.cold.recorded": 1,
        "quantflow_build.layers": len(stages),
        **{f"quantflow_build.cold.layers[{n}].name": stage.name.encode() for n, stage in enumerate(stages)},
    }
    assert compiled(manifest, tmp_path, expected) == expected


def test_machines_without_the_record_and_without_a_warm_program(tmp_path):
    expected = {"quantflow_build.cold.recorded": 0, "quantflow_build.warm.length": 0}
    assert compiled(built(profile_depth=2, weight_depth=32), tmp_path, expected) == expected


def test_the_example_of_the_documentation(tmp_path):
    """Compiles without a warning."""
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler is installed")
    text = (Path(__file__).parents[3] / "docs" / "driver.md").read_text()
    (example,) = re.findall("^```c\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    write_driver(built(ports=1), b"", tmp_path)
    caches = "".join(f"void {name}(void *data, uint32_t size);\n" for name in ("flush", "invalidate"))
    (tmp_path / "example.c").write_text(example.replace("extern", f"{caches}extern", 1))
    command = [compiler, *WARNINGS, f"-I{tmp_path / 'driver' / 'c'}", "-c", str(tmp_path / "example.c")]
    subprocess.run([*command, "-o", str(tmp_path / "example.o")], check=True)


def test_every_register_and_error_is_there():
    text = registers_header()
    for each in (*Register, *(f"ERROR_{error.name}" for error in Error)):
        assert f"#define QUANTFLOW_{getattr(each, 'name', each)} " in text
    assert NETWORK_HEADER in c_headers(built(), b"")
