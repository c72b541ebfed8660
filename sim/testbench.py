"""The simulated system's sources, and the files through which its memory is filled and read."""

import re
from pathlib import Path

import numpy as np

from hdl.bus.axi import numbered

MEMORY = Path(__file__).with_name("axi_memory.sv")
TESTBENCH = Path(__file__).with_name("testbench.sv")
TOP = "testbench"

# Names that the two files give to the files of a run, in the simulation's folder.
LOAD_FILE, STORE_FILE, TRACE_FILE = "memory_load.hex", "memory_store.hex", "trace.txt"


def memory_source(**parameters):
    """Text of sim/axi_memory.sv with the defaults of its parameters replaced."""
    return with_parameters(MEMORY.read_text(), parameters)


def system_source(accelerator, **parameters):
    """Text of the whole simulated system; `accelerator` is the Verilog of a module of that name.

    `parameters` replace the defaults of sim/testbench.sv's parameters. The top is `TOP`.
    """
    testbench = with_parameters(TESTBENCH.read_text(), parameters)
    ports = parameters.get("PORTS", 1)
    lines = [port_line for line in testbench.split("\n") for port_line in _for_ports(line, ports)]
    return "\n".join([accelerator, MEMORY.read_text(), *lines])


def _for_ports(line, ports):
    """A line of the testbench, repeated for each memory port where it names the first one's signals."""
    if ".m_axi_" not in line:
        return [line]
    return [line.replace("m_axi_", numbered("m_axi_", port)).replace("[0", f"[{port}") for port in range(ports)]


def memory_inputs(timing, stalls=0, seed=1):
    """What sim/axi_memory.sv's inputs are for a quantflow.cycles.MemoryTiming, by name.

    `stalls` is the share of cycles, below 1, in which each channel of each port stands still.
    """
    return {
        "latency": timing.latency,
        "bandwidth": round(256 * timing.bytes_per_cycle) if timing.bytes_per_cycle else 0,
        "stalls": round(256 * stalls),
        "seed": seed,
        "error_first": 1,
        "error_last": 0,
    }


def with_parameters(source, parameters):
    """A Verilog source with the defaults of its parameters replaced by integers."""
    for name, value in parameters.items():
        source, count = re.subn(rf"(\bparameter {name} = )[^,\n]+", rf"\g<1>{int(value)}", source, count=1)
        if count != 1:
            raise ValueError(f"the simulation's source has no parameter {name}")
    return source


def write_words(path, sections, width):
    """Write bytes as a file for $readmemh.

    `sections` are pairs of a byte address, a multiple of `width`, and bytes, which are padded
    with zeros to whole words of `width` bytes, least significant byte first.
    """
    lines = []
    for address, data in sections:
        if address % width:
            raise ValueError(f"address {address:#x} is not a multiple of {width} bytes")
        lines.append(f"@{address // width:x}")
        padded = bytes(data) + bytes(-len(data) % width)
        # One pass over the reversed bytes: the words come out last first, each most significant
        # byte first.
        words = padded[::-1].hex("\n", width) if padded else ""
        lines.append("\n".join(words.split("\n")[::-1]))
    path.write_text("\n".join(lines) + "\n")


def read_words(path, width):
    """The bytes of a file that $writememh wrote; comments and addresses are skipped."""
    words = "".join(line for line in path.read_text().split("\n") if line and line[0] not in "/@")
    return np.frombuffer(bytes.fromhex(words), np.uint8).reshape(-1, width)[:, ::-1].tobytes()
