"""What Yosys makes of a SinglePortMemory; its behaviour is tested beside BlockMemory's."""

import pytest

import boards
from boards.synthesis import cell_counts
from hdl.system.single_port_memory import BANK_WORDS, SinglePortMemory
from hdl.system.storage import SOURCES
from hdl.system.system import System
from hdl.verilog import to_verilog
from quantflow.config import Config


def test_ice40_takes_its_large_ram():
    config = Config(pixels=1, lanes=2, port_bits=32)
    memory = SinglePortMemory(config, 4 * (2 * BANK_WORDS - 5))
    source = to_verilog(memory, "memory") + "".join(path.read_text() for path in SOURCES)
    cells = cell_counts(source, "synth_ice40 -spram", "memory")
    assert cells["SB_SPRAM256KA"] == 4 and "SB_RAM40_4K" not in cells


def test_the_board_knows_its_latency():
    assert boards.find("icebreaker").memory.latency == SinglePortMemory.latency


def test_contents_are_refused():
    with pytest.raises(ValueError, match="a memory with a single port has no contents at power-up"):
        System(Config(pixels=1, lanes=2, port_bits=32), 4096, files=("one.hex",), single_port=True)
