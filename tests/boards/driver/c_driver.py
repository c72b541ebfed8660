"""The driver in C, compiled from a build folder, with Python as its link."""

import ctypes
import shutil
import subprocess
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_ubyte, c_uint32, c_void_p

import numpy as np
import pytest

from boards.driver.carried import driver_files

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")
SHIM = """
#include "network.h"
const quantflow_network *built(void) { return &quantflow_build; }
const quantflow_map *built_input(void) { return &quantflow_build.input; }
const quantflow_map *built_output(void) { return &quantflow_build.output; }
uint32_t accelerator_bytes(void) { return sizeof(quantflow_accelerator); }
uint32_t accelerator_error(const quantflow_accelerator *accelerator) { return accelerator->error; }
const char *layer_name(uint32_t layer) { return quantflow_build.cold.layers[layer].name; }
uint32_t accelerator_cycles(const quantflow_accelerator *accelerator) { return accelerator->cycles; }
"""
RESULTS = (
    "OK", "LINK_FAILED", "WRONG_MACHINE", "MACHINE_ERROR", "OUT_OF_TIME", "WAS_RESET", "DOES_NOT_STOP", "NOT_RECORDED",
)  # fmt: skip
TURNS = 3  # of waiting for one run, which sleep until the interrupt


def compile_driver(build, folder):
    """Compile the driver of a build folder; returns the library's path."""
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler is installed")
    (folder / "shim.c").write_text(SHIM)
    own = build / "driver" / "c"
    sources = [*map(str, sorted(own.glob("*.c"))), str(folder / "shim.c")]
    command = [compiler, *WARNINGS, "-O1", "-fPIC", "-shared", f"-I{own}", *sources]
    subprocess.run([*command, "-o", str(folder / "driver.so")], check=True)
    return folder / "driver.so"


def write_driver(manifest, model, folder):
    """The drivers' files of a build folder, without the rest of it."""
    for path, text in driver_files(manifest, model).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


class _Link(Structure):
    _fields_ = [
        ("context", c_void_p),
        ("read_register", CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(c_uint32))),
        ("write_register", CFUNCTYPE(c_int, c_void_p, c_uint32, c_uint32)),
        ("read_memory", CFUNCTYPE(c_int, c_void_p, c_uint32, c_void_p, c_uint32)),
        ("write_memory", CFUNCTYPE(c_int, c_void_p, c_uint32, c_void_p, c_uint32)),
        ("wait", CFUNCTYPE(c_int, c_void_p, c_uint32)),
    ]


_CACHE = CFUNCTYPE(None, c_void_p, c_uint32)


class _Mapping(Structure):
    _fields_ = [
        ("registers", POINTER(c_uint32)),
        ("memory", POINTER(c_ubyte)),
        ("memory_address", c_uint32),
        ("flush", _CACHE),
        ("invalidate", _CACHE),
        ("turns", c_uint32),
    ]


def mapped_link(library, bus_address):
    """A quantflow_mapped link with 5 turns; its registers and memory, and the calls for its caches."""
    registers, memory, calls = (c_uint32 * 64)(), (c_ubyte * 256)(), []

    def cache(name):
        return _CACHE(lambda data, size: calls.append((name, data - ctypes.addressof(memory), size)))

    mapping = _Mapping(registers, memory, bus_address, cache("flush"), cache("invalidate"), 5)
    function = ctypes.CDLL(str(library)).quantflow_mapped
    function.restype = _Link
    link = function(byref(mapping))
    link.kept = mapping  # as long as the link, which points to it
    return link, registers, memory, calls


class CDriver:
    """The compiled driver over a boards.driver.Link; its functions return the names of results."""

    def __init__(self, library, manifest, link=None):
        self.library, self.manifest, self.link = ctypes.CDLL(str(library)), manifest, link
        for name in ("built", "built_input", "built_output"):
            getattr(self.library, name).restype = c_void_p
        self._network, self._input, self._output = (
            c_void_p(getattr(self.library, name)()) for name in ("built", "built_input", "built_output")
        )
        self._accelerator = ctypes.create_string_buffer(self.library.accelerator_bytes())
        self.failing, self.hasty = False, False  # every access fails; a wait gives up at once
        kinds = dict(_Link._fields_)
        functions = {name: kinds[name](getattr(self, f"_{name}")) for name in list(kinds)[1:]}
        self._link = _Link(None, **functions)

    def open(self, model):
        ports, share = self.manifest.config.ports, self.manifest.memory_bytes // self.manifest.config.ports
        bases = (c_uint32 * ports)(*self.link.place(ports, share))
        return self._result(
            self.library.quantflow_open(self._accelerator, byref(self._link), self._network, bases, c_char_p(model))
        )

    def run(self, integers):
        """One image's, or batch's, integers to those of the output, or to the result's name."""
        output = ctypes.create_string_buffer(self.manifest.output.bytes)
        result = self.library.quantflow_run(self._accelerator, c_char_p(self.pack(integers)), output)
        return self._result(result) if result else self.unpack(output.raw)

    def step(self, name):
        return self._result(getattr(self.library, f"quantflow_{name}")(self._accelerator))

    def profile(self):
        """The layers' cycles by name, or the result's name."""
        count = len(self.manifest.stages)
        cycles = (c_uint32 * count)()
        result = self.library.quantflow_profile(self._accelerator, cycles)
        self.library.layer_name.restype = c_char_p
        names = (self.library.layer_name(layer).decode() for layer in range(count))
        return self._result(result) if result else dict(zip(names, cycles, strict=True))

    @property
    def error(self):
        return self.library.accelerator_error(self._accelerator)

    @property
    def cycles(self):
        return self.library.accelerator_cycles(self._accelerator)

    def pack(self, integers):
        values = np.ascontiguousarray(integers, np.int32)
        packed = ctypes.create_string_buffer(self.manifest.input.bytes)
        self.library.quantflow_pack(self._input, values.ctypes.data_as(POINTER(c_int32)), packed)
        return packed.raw

    def unpack(self, data):
        output = self.manifest.output
        values = np.zeros((output.images, *output.shape) if output.images > 1 else output.shape, np.int32)
        self.library.quantflow_unpack(self._output, c_char_p(data), values.ctypes.data_as(POINTER(c_int32)))
        return values

    @staticmethod
    def _result(number):
        return RESULTS[number]

    def _read_register(self, _, address, value):
        value[0] = self.link.read_register(address)
        return self.failing

    def _write_register(self, _, address, value):
        self.link.write_register(address, value)
        return self.failing

    def _read_memory(self, _, address, data, size):
        ctypes.memmove(data, self.link.read_memory(address, size), size)
        return self.failing

    def _write_memory(self, _, address, data, size):
        self.link.write_memory(address, ctypes.string_at(data, size))
        return self.failing

    def _wait(self, _, turn):
        if self.hasty or turn == TURNS:
            return 1
        self.link.wait(1)
        return 0
