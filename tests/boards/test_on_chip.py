"""Whole designs of boards with their memory on chip: files, top module, constraints, clock and serial rate."""

import json
import random
import re
from dataclasses import replace
from itertools import pairwise

import pytest

import boards
from boards import on_chip
from boards.board import OnChip
from boards.on_chip.contents import contents
from boards.on_chip.pll import best_pll
from boards.on_chip.top import achieved_mhz, bit_cycles, top_verilog
from boards.synthesis import run_yosys
from hdl.system.storage import bank_sizes
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.errors import UserError
from quantflow.manifest import Manifest
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=2, lanes=4, port_bits=32, activation_depth=256, weight_depth=128)
BOARDS = [replace(board, config=CONFIG) for board in boards.all_boards() if isinstance(board.system, OnChip)]
# An empty `system`, so that Yosys elaborates the top module alone.
EMPTY = """
module system(input clk, input rst, input rx, output tx, output busy, output failed, input [15:0] bit_cycles);
  assign tx = rx, busy = rst, failed = ^bit_cycles;
endmodule
"""
SYNTHESIS = {"ecp5": "synth_ecp5", "ice40": "synth_ice40", "gowin": "synth_gowin -family gw2a"}
PRIMITIVES = {"ecp5": "EHXPLLL", "ice40": "SB_PLL40_PAD", "gowin": "rPLL"}


def each_board(function):
    return pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)(function)


def _deployment(config=CONFIG):
    return compile_network(RandomNetwork(1, (3, 6, 6)).convolution(5, (3, 3)).dense(4, relu=False).finish(), config)


@each_board
def test_files(board):
    deployment = _deployment()
    manifest = Manifest.of(deployment, board)
    files = on_chip.files(board, manifest, deployment.model.tobytes())
    assert files["top.v"] == top_verilog(board, board.clock_mhz)
    ports = re.search(r"module system\((.*?)\);", files["system.v"], re.DOTALL).group(1)
    assert {port.strip() for port in ports.split(",")} == {"clk", "rst", "rx", "tx", "bit_cycles", "busy", "failed"}
    banks = sorted(name for name in files if name.startswith("memory"))
    assert bool(banks) == (board.part.family != "ice40")
    for name in banks:
        assert f'"{name}"' in files["system.v"], "the contents' files are the ones that the memory reads"


def test_contents_are_the_model_in_the_words_of_the_banks():
    rng = random.Random(1)
    model, words = rng.randbytes(8 * 700 + 4), 1100
    files = contents(model, words, 8)
    rows = [[int(row, 16) for row in text.splitlines()] for text in files.values()]
    assert [len(bank) for bank in rows] == bank_sizes(words) == [1024, 512]
    together = b"".join(word.to_bytes(8, "little") for bank in rows for word in bank)
    assert together[: len(model)] == model and not any(together[len(model) :])


@each_board
def test_top_elaborates_with_the_pll(board):
    """Yosys finds every port of `system` and of the primitive, and nothing is driven twice or not at all."""
    faster = best_pll(board.part.family, board.system.oscillator_mhz, 2.5 * board.system.oscillator_mhz).mhz
    for clock in (board.clock_mhz, faster):
        family = board.part.family
        script = f"{SYNTHESIS[family]} -top top -run begin:coarse; check -assert; proc =*; write_json netlist.json"
        netlist = json.loads(run_yosys(top_verilog(board, clock) + EMPTY, script, "netlist.json"))
        cells = [cell["type"] for cell in netlist["modules"]["top"]["cells"].values()]
        assert (PRIMITIVES[family] in cells) == (clock != board.system.oscillator_mhz)
        assert netlist["modules"]["top"]["ports"].keys() == board.system.pins.keys()


@each_board
def test_constraints_place_every_port(board):
    name, write = on_chip.constraints.WRITERS[board.part.family]
    text = write(board.system)
    for port, pin in board.system.pins.items():
        assert re.search(rf'\b{port}"? (SITE )?"?{pin}\b', text), f"{port} in {name}"


def test_a_button_rests_at_the_other_level():
    system = BOARDS[0].system
    pins = {"clock": "1", "rx": "2", "tx": "3", "reset": "4"}
    for low, ecp5, ice40 in [(True, "PULLMODE=UP", True), (False, "PULLMODE=DOWN", False)]:
        facts = replace(system, pins=pins, reset_active_low=low)
        assert ecp5 in on_chip.constraints.ecp5(facts) and ecp5[-3:].strip("=") in on_chip.constraints.gowin(facts)
        assert ("-pullup yes reset" in on_chip.constraints.ice40(facts)) == ice40
        board = replace(boards.find("ulx3s-85f"), system=facts)
        assert ("{held[0], ~reset |" in top_verilog(board, 50)) == low


def test_pins_of_other_chips_are_held_high():
    board = boards.find("ulx3s-85f")
    facts = replace(board.system, pins={"clock": "1", "rx": "2", "tx": "3", "high_other": "4"})
    top = top_verilog(replace(board, system=facts), 50)
    assert "output wire high_other" in top and "assign high_other = 1'b1;" in top


def test_the_clock_is_the_one_that_the_pll_makes():
    board = boards.find("ulx3s-85f")
    asked = [40.1 + 0.7 * step for step in range(40)]
    made = [achieved_mhz(board, clock) for clock in asked]
    assert all(clock <= wish for clock, wish in zip(made, asked, strict=True))
    assert all(before <= after for before, after in pairwise(made))
    assert achieved_mhz(board, 65) == 65 and bit_cycles(board, 65) == 65
    assert f"16'd{bit_cycles(board, achieved_mhz(board, 63))}" in top_verilog(board, 63)


def test_what_cannot_be_built_is_refused():
    board = replace(boards.find("ulx3s-85f"), config=CONFIG)
    manifest = Manifest.of(_deployment(), board)
    several = replace(manifest, config=replace(CONFIG, ports=2))
    with pytest.raises(UserError, match="ulx3s-85f: the memory on chip has one port, and the configuration ports = 2"):
        on_chip.files(board, several, b"")
    other = replace(board, part=boards.find("zc706").part)
    with pytest.raises(UserError, match="no design with its memory on chip is known for the family xilinx-7"):
        on_chip.files(other, manifest, b"")
    fast = replace(board, system=replace(board.system, baud=12_000_000))
    with pytest.raises(UserError, match="a serial line of 12000000 baud cannot be made of a clock of 65 MHz"):
        top_verilog(fast, 65)
    uneven = replace(board, system=replace(board.system, baud=6_000_000))
    with pytest.raises(UserError, match="may be 2% wrong"):
        top_verilog(uneven, 62.5)
