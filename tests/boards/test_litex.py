"""The LiteX example as a user runs it: it elaborates, and Yosys finds every module and every port."""

import csv
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

import boards
from boards.flow.tools import YOSYS
from boards.project import write_project
from hdl.control.register_file import CONTROL_ADDRESS_BITS
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import VERILOG
from tests.quantflow.networks import RandomNetwork

BOARD = replace(boards.find("ecpix5-85f"), config=Config(pixels=1, lanes=4, port_bits=128))

pytest.importorskip("litex_boards", reason="the extra `litex` is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A build folder for the board."""
    folder = tmp_path_factory.mktemp("litex") / "build"
    quantized = RandomNetwork(1, (3, 6, 6)).convolution(5, (3, 3)).dense(4, relu=False).finish()
    write_project(compile_network(quantized, BOARD.config), quantized, BOARD, folder)
    return folder


def example(folder, *arguments):
    """What the build folder's own copy of the example leaves: the folder of its gateware."""
    command = [sys.executable, "example.py", ".", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return folder / "litex" / "gateware"


@pytest.mark.parametrize("processor", ["vexriscv", "none"])
def test_example(folder, processor):
    gateware = example(folder, "--cpu", processor, "--no-software")
    log = check_with_yosys(gateware, folder)
    assert "Resizing cell port system.accelerator" not in log
    instance = re.search(r"\naccelerator \w+\((.*?)\n\);", (gateware / "system.v").read_text(), re.S).group(1)
    module = re.search(r"module accelerator\((.*?)\);", (folder / VERILOG).read_text(), re.S).group(1)
    ports = {name for name in re.findall(r"\w+", module) if name.startswith(("m_axi", "s_axil", "clk", "rst", "int"))}
    assert set(re.findall(r"\.(\w+)", instance)) == ports
    with open(folder / "litex" / "csr.csv") as file:
        regions = {row[1]: (int(row[2], 16), int(row[3])) for row in csv.reader(file) if row[0] == "memory_region"}
    assert regions["main_ram"] == (0x4000_0000, 512 << 20)
    assert regions["accelerator"] == (0x9000_0000, 1 << CONTROL_ADDRESS_BITS)
    interrupts = "accelerator_interrupt" in (folder / "litex" / "csr.csv").read_text()
    assert interrupts == (processor != "none")


def check_with_yosys(gateware, folder):
    """Yosys' log of the whole system; it fails where a module or a port of one does not exist."""
    shutil.copy(folder / VERILOG, gateware)
    names = ["system.v", VERILOG]
    for path in re.findall(r"read_verilog (/\S*VexRiscv\S*)", (gateware / "system.ys").read_text()):
        names.append(shutil.copyfile(path, gateware / "processor.v").name)
    script = (
        "read_verilog -lib +/ecp5/cells_sim.v +/ecp5/cells_bb.v; "
        f"read_verilog -sv {' '.join(names)}; hierarchy -check -top system"
    )
    assert YOSYS.run(["-p", script], gateware, "check.log") == 0, (gateware / "check.log").read_text()[-3000:]
    return (gateware / "check.log").read_text()


def test_bitstream_flow(folder):
    """The constraints and the synthesis script that LiteX leaves name the board's part, pins and sources."""
    gateware = example(folder, "--cpu", "none", "--clock", "50", "--output", "litex")
    commands = (gateware / "build_system.sh").read_text()
    assert " ".join(BOARD.part.options) in commands and "--timing-allow-fail" not in commands
    assert 'LOCATE COMP "serial_rx"' in (gateware / "system.lpf").read_text()
    assert "accelerator.v" in (gateware / "system.ys").read_text()


def test_no_build_folder(folder, tmp_path):
    command = [sys.executable, folder / "example.py", tmp_path]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and f"{tmp_path} is no build folder: it has no manifest.json" in run.stderr


def test_cache_is_refused():
    """Behind an L2 cache the host would read what was there before."""
    from litex.soc.integration.soc_core import SoCCore
    from litex_boards.targets.lambdaconcept_ecpix5 import BaseSoC

    from boards.litex.peripheral import add_accelerator

    soc = BaseSoC(cpu_type=None, with_uart=False, with_led_chaser=False)
    assert isinstance(soc, SoCCore)
    with pytest.raises(ValueError, match="an L2 cache hides what the accelerator writes to memory: build the SoC with"):
        add_accelerator(soc, "nowhere")


def test_dependencies():
    """What the example's processor needs beside LiteX."""
    assert find_spec("pythondata_cpu_vexriscv") and find_spec("pythondata_software_picolibc")
