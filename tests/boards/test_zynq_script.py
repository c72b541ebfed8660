"""build.tcl against a record of Vivado's commands: what it builds, and that what is wrong ends it."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import boards
from boards import zynq
from quantflow.config import Config
from tests.boards import tcl

pytestmark = pytest.mark.skipif(not tcl.available(), reason="neither tclsh nor tkinter is there")
BOARD = boards.find("pynq-z2")
HP_OF_PORTS = {1: ["HP0"], 2: ["HP0", "HP2"], 4: ["HP0", "HP1", "HP2", "HP3"]}
IP_PINS = {  # by the vendor's documents: PG164 of the reset's IP, PG059 of the converter's
    "reset": {"slowest_sync_clk", "ext_reset_in", "peripheral_reset", "peripheral_aresetn"},
    "converter": {"aclk", "aresetn", "S_AXI", "M_AXI"},
}


def script(folder, ports=2, board=BOARD):
    """The path of build.tcl in a build folder for a machine with so many memory ports."""
    config = Config(pixels=1, lanes=4, port_bits=32, ports=ports)
    for name, text in zynq.files(board, SimpleNamespace(config=config), b"").items():
        (folder / name).write_text(text)
    return folder / "build.tcl"


def settings(run, cell):
    """CONFIG properties of a cell as they end, by name."""
    found = {}
    for arguments in run.of("set_property"):
        *pairs, target = arguments
        if target == cell:
            words = pairs[1] if pairs[0] == "-dict" else " ".join(f"{{{pair}}}" for pair in pairs)
            parts = re.findall(r"\{([^}]*)\}|(\S+)", words)
            flat = [braced or bare for braced, bare in parts]
            found |= dict(zip(flat[::2], flat[1::2], strict=True))
    return {name.removeprefix("CONFIG."): value for name, value in found.items()}


@pytest.mark.parametrize("ports", HP_OF_PORTS)
def test_block_design(tmp_path, ports):
    """Part, cells, clock, interrupt, address; each memory port on its own HP port, enabled and clocked; no other."""
    run = tcl.run(script(tmp_path, ports))
    assert run.error == ""
    assert run.of("create_project")[0][-2:] == ["-part", "xc7z020clg400-1"]
    sources = {Path(arguments[0]).name for arguments in run.of("add_files")}
    assert sources == {"accelerator.v", "accelerator_ip.v"}
    cells = {arguments[-1]: arguments[-2] for arguments in run.of("create_bd_cell")}
    assert cells.pop("ps") == "xilinx.com:ip:processing_system7"
    assert cells.pop("accelerator") == "accelerator_ip"
    assert cells.pop("reset") == "xilinx.com:ip:proc_sys_reset"
    assert set(cells.values()) == {"xilinx.com:ip:axi_protocol_converter"}
    ps = settings(run, "ps")
    hps = HP_OF_PORTS[ports]
    assert [hp for hp in HP_OF_PORTS[4] if ps[f"PCW_USE_S_AXI_{hp}"] == "1"] == hps
    assert all(ps[f"PCW_S_AXI_{hp}_DATA_WIDTH"] == "32" for hp in hps)
    assert float(ps["PCW_FPGA0_PERIPHERAL_FREQMHZ"]) == BOARD.clock_mhz
    assert ps["PCW_USE_FABRIC_INTERRUPT"] == ps["PCW_IRQ_F2P_INTR"] == ps["PCW_USE_M_AXI_GP0"] == "1"
    links = dict(run.of("connect_bd_intf_net"))
    through = {pin: links[link.replace("S_AXI", "M_AXI")] for pin, link in links.items() if link.endswith("/S_AXI")}
    expected = {f"accelerator/{zynq.interface(port)}": f"ps/S_AXI_{hp}" for port, hp in enumerate(hps)}
    assert through == {"ps/M_AXI_GP0": "accelerator/s_axil", **expected}
    for pin, link in links.items():
        if pin in expected:
            converter = settings(run, link.split("/")[0])
            assert (converter["SI_PROTOCOL"], converter["MI_PROTOCOL"]) == ("AXI4", "AXI3")
    (registers,) = [arguments for arguments in run.of("assign_bd_address") if "-offset" in arguments]
    assert int(registers[registers.index("-offset") + 1], 0) == BOARD.system.control_address
    assert registers[-2:] == ["ps/Data", "accelerator/s_axil/reg0"]
    memories = {arguments[-2]: arguments[-1] for arguments in run.of("assign_bd_address") if arguments != registers}
    assert memories == {pin: f"{target}/{target[-3:]}_DDR_LOWOCM" for pin, target in expected.items()}


@pytest.mark.parametrize("ports", HP_OF_PORTS)
def test_nets(tmp_path, ports):
    """Every pin that is named exists, every clock and reset is connected once, and from the right place."""
    run = tcl.run(script(tmp_path, ports))
    wrapper = re.findall(r"(?:input|output) wire (?:\[.*\] )?(\w+)", (tmp_path / "accelerator_ip.v").read_text())
    hps = HP_OF_PORTS[ports]
    exist = {
        "accelerator": {*wrapper, "s_axil", *map(zynq.interface, range(ports))},
        "ps": {"FCLK_CLK0", "FCLK_RESET0_N", "M_AXI_GP0", "M_AXI_GP0_ACLK", "IRQ_F2P"}
        | {f"S_AXI_{hp}{end}" for hp in hps for end in ("", "_ACLK")},
        "reset": IP_PINS["reset"],
        **{name: IP_PINS["converter"] for name in ("control", *(f"memory_{hp}" for hp in hps))},
    }
    for (pin,) in run.of("get_bd_pins") + run.of("get_bd_intf_pins"):
        cell, _, name = pin.partition("/")
        assert name in exist[cell], pin
    nets = {target: source for source, target in run.of("connect_bd_net")}
    assert len(nets) == len(run.of("connect_bd_net"))
    for cell, names in exist.items():
        for name in names:
            if name in ("aclk", "clk", "slowest_sync_clk") or name.endswith("_ACLK"):
                assert nets.pop(f"{cell}/{name}") == "ps/FCLK_CLK0"
            if name == "aresetn":
                assert nets.pop(f"{cell}/{name}") == "reset/peripheral_aresetn"
    assert nets == {
        "reset/ext_reset_in": "ps/FCLK_RESET0_N",
        "accelerator/rst": "reset/peripheral_reset",
        "ps/IRQ_F2P": "accelerator/interrupt",
    }


def test_steps(tmp_path):
    """The design is validated before it is built, and bitstream and reports come at the end."""
    run = tcl.run(script(tmp_path))
    names = [name for name, *_ in run.calls]
    steps = ["validate_bd_design", "make_wrapper", "launch_runs", "open_run", "report_timing_summary"]
    assert sorted(steps, key=names.index) == steps
    assert [arguments[0] for arguments in run.of("wait_on_run")] == ["synth_1", "impl_1"]
    assert run.of("launch_runs")[-1][:3] == ["impl_1", "-to_step", "write_bitstream"]
    assert ["top", "system_wrapper", "sources_1"] in run.of("set_property")
    written = {"report_timing_summary": "timing.rpt", "report_utilization": "utilization.rpt"}
    for step, file in {**written, "write_hw_platform": "system.xsa"}.items():
        assert Path(run.of(step)[0][-1]) == tmp_path / file
    assert (tmp_path / "system.bit").exists() and (tmp_path / "system.hwh").exists()


def test_board_files(tmp_path):
    """With Vivado's board files their preset is applied, without them the settings of ours."""
    without = tcl.run(script(tmp_path))
    given = settings(without, "ps")
    assert BOARD.system.settings.items() <= given.items()
    assert "apply_board_preset 0" in without.of("apply_bd_automation")[0][3]
    assert not [call for call in without.of("set_property") if call[0] == "board_part"]
    newest = f"{BOARD.vendor_board}:1.0"
    run = tcl.run(script(tmp_path), board_parts=[newest])
    assert run.of("get_board_parts")[0][-1] == f"{BOARD.vendor_board}:*"
    assert ["board_part", newest, "project"] in run.of("set_property")
    assert "apply_board_preset 1" in run.of("apply_bd_automation")[0][3]
    assert not BOARD.system.settings.keys() & settings(run, "ps").keys()
    unnamed = tcl.run(script(tmp_path, board=replace(BOARD, vendor_board="")), board_parts=[newest])
    assert unnamed.error == "" and not unnamed.of("get_board_parts")


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"stats_wns": "-0.01"}, 'timing is missed at 99.9 MHz: setup slack "-0.01" ns'),
        ({"stats_whs": "-0.2"}, 'timing is missed at 99.9 MHz: hold slack "-0.2" ns'),
        ({"stats_wns": "NA"}, 'timing is missed at 99.9 MHz: setup slack "NA" ns'),
        ({"progress": "40%", "status": "place_design ERROR"}, "synth_1 failed: place_design ERROR"),
    ],
)
def test_failures_end_the_script(tmp_path, answers, error):
    run = tcl.run(script(tmp_path), **answers)
    assert run.error.startswith(error)
    assert not (tmp_path / "system.bit").exists()


def test_unknown_command_ends_the_script(tmp_path):
    path = script(tmp_path)
    path.write_text(path.read_text().replace("save_bd_design", "save_bd_desing"))
    assert tcl.run(path).error == 'invalid command name "save_bd_desing"'
