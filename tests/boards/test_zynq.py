"""A Zynq's build folder: the wrapper is the accelerator's, port by port; machines that it cannot carry are refused."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import boards
from boards import zynq
from boards.synthesis import run_yosys
from hdl.accelerator import accelerator_verilog
from quantflow.config import Config
from quantflow.errors import UserError

BOARD = boards.find("zc706")


def _files(config, board=BOARD):
    return zynq.files(board, SimpleNamespace(config=config), b"")


def _declared(source, module):
    """Direction and bits of a module's ports, by name."""
    body = source[source.index(f"module {module}") :].partition("endmodule")[0]
    found = re.findall(r"^ *(input|output) (?:wire )?(?:\[(\d+):0\] )?(\w+)[;,]?$", body, re.MULTILINE)
    return {name: (direction, int(highest or 0) + 1) for direction, highest, name in found}


@pytest.mark.parametrize("ports", [1, 2, 4])
def test_wrapper(ports):
    """Yosys finds every port that it connects; none but lamps and traces is left open, and no width differs."""
    config = Config(pixels=1, lanes=4, port_bits=32, ports=ports)
    accelerator, wrapper = accelerator_verilog(config), _files(config)["accelerator_ip.v"]
    inner, outer = _declared(accelerator, "accelerator("), _declared(wrapper, "accelerator_ip (")
    for name in inner.keys() - outer.keys():
        assert inner[name][0] == "output" and (name.startswith("trace_") or name in ("busy", "failed"))
    assert outer.keys() <= inner.keys()
    for name, port in outer.items():
        wider = (port[0], 12) if name in ("s_axil_awaddr", "s_axil_araddr") else inner[name]
        assert port == wider, name
    assert sum(name.endswith("_awvalid") for name in outer) == ports + 1
    script = "hierarchy -check -top accelerator_ip; tee -q -o cells.json stat -json -top accelerator_ip"
    statistics = json.loads(run_yosys(accelerator + wrapper, script, "cells.json"))
    assert any("accelerator" in name for name in statistics["modules"])


def test_every_signal_belongs_to_an_interface():
    wrapper = _files(Config(pixels=1, lanes=4, port_bits=32, ports=2))["accelerator_ip.v"]
    for information, name in re.findall(r'INFO = "(.*?)".*\n *\w+put wire (?:\[.*\] )?(\w+)', wrapper):
        bus, _, signal = name.rpartition("_")
        assert information.endswith(f"{bus} {signal.upper()}" if bus else f"{name} {information.split()[-1]}")
    assert "ASSOCIATED_BUSIF m_axi:m_axi1:s_axil" in wrapper
    assert wrapper.count("PROTOCOL AXI4,") == 2 and wrapper.count("PROTOCOL AXI4LITE,") == 1


def test_machines_that_the_ports_do_not_carry():
    wide = Config(pixels=1, lanes=8, port_bits=128)
    with pytest.raises(UserError, match="zc706's S_AXI_HP ports have 32 or 64 bits, not port_bits 128: use more"):
        _files(wide)
    board = replace(BOARD, system=replace(BOARD.system, ports=2))
    with pytest.raises(UserError, match="zc706 has 2 S_AXI_HP ports, fewer than ports 4"):
        _files(Config(pixels=1, lanes=8, ports=4), board)
    with pytest.raises(UserError, match="on zc706 memory_address_bits must be 32, not 17: the host's buffers may lie"):
        _files(Config(pixels=1, lanes=8, memory_address_bits=17))


@pytest.mark.parametrize("name", ["zc706", "pynq-z2", "arty-z7-20"])
def test_own_configurations(name):
    """They ask for no more than AXI3's 16 beats at once, which would let only one burst be under way."""
    board = boards.find(name)
    assert board.config.burst_beats == 16
    assert _files(board.config, board)["board.tcl"].count("HP") == board.config.ports


@pytest.mark.parametrize("document", ["boards.md", "driver.md"])
def test_documented_address(document):
    """What a reader copies from the documents is where build.tcl puts the registers, and what board.json says."""
    text = (Path(__file__).parents[2] / "docs" / document).read_text()
    assert set(re.findall(r"0x4[0-9A-F]{7}", text)) == {f"{BOARD.system.control_address:#X}".replace("X", "x")}


def test_another_address():
    """A user's board may have the registers elsewhere, as where another design is in the same part."""
    board = replace(BOARD, system=replace(BOARD.system, control_address=0x4000_0000))
    assert "set control_address {0x40000000}" in _files(Config(pixels=1, lanes=8), board)["board.tcl"]
