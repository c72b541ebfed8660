"""The boards' own files: findable, consistent, their machines within the parts, their pins those of other sources."""

import pytest

import boards
from boards import icebreaker, pynq_z2, ulx3s_85f
from boards.board import OnChip
from boards.part import Part
from boards.synthesis import FAMILIES
from quantflow.errors import UserError

NEEDED = {"arty-z7-20", "ecpix5-85f", "icebreaker", "pynq-z2", "tang-nano-20k", "ulx3s-85f", "zc706"}


def test_find():
    names = [board.name for board in boards.all_boards()]
    assert names == sorted(set(names)) and set(names) >= NEEDED
    for board in boards.all_boards():
        assert boards.find(board.name) is board
        assert f'"{board.name}"' in boards.source(board.name)
    assert boards.find(boards.DEFAULT).name == boards.DEFAULT


@pytest.mark.parametrize("find", [boards.find, boards.source])
def test_unknown_board(find):
    known = ", ".join(board.name for board in boards.all_boards())
    with pytest.raises(UserError) as error:
        find("zc702")
    assert str(error.value) == f"there is no board zc702; known boards are {known}, and FILE.py for one of your own"


@pytest.mark.parametrize("board", boards.all_boards(), ids=lambda board: board.name)
def test_board(board):
    """The multipliers fit, and the scratchpads' bits do."""
    config, available = board.config, board.resources
    assert board.part.family in FAMILIES
    assert config.multipliers <= available.dsp * config.products_per_dsp
    activations = config.pixels * config.activation_depth * config.lanes * config.activation_bits
    weights = config.weight_depth * config.lanes**2 * config.weight_bits
    assert activations + weights < 1000 * board.part.block_ram_kbit * available.block_ram
    assert board.memory.latency > 0 and board.system.memory_name and board.system.link
    if isinstance(board.system, OnChip):
        assert len(set(board.system.pins.values())) == len(board.system.pins)


def test_exceeding():
    less = boards.Resources(lut=1, ff=5, dsp=3, block_ram=2)
    more = boards.Resources(lut=2, ff=4, dsp=3, block_ram=1)
    assert less.exceeding(more) == ["ff", "block_ram"]
    assert less.exceeding(less) == []


def test_part_survives_json():
    for board in boards.all_boards():
        values = {**vars(board.part), "resources": vars(board.resources), "options": list(board.part.options)}
        assert Part.from_json(values) == board.part


def _pins(platform, name, *subsignal, number=0):
    """(pins, whether inverted) of a resource of amaranth-boards."""
    resource = platform.resources[name, number]
    for part in subsignal:
        (resource,) = (io for io in resource.ios if io.name == part)
    return resource.ios[0].names, resource.ios[0].invert


@pytest.mark.parametrize(
    ("board", "file", "platform", "clock", "button"),
    [
        (ulx3s_85f.BOARD, "ulx3s", "ULX3S_85F_Platform", "clk25", "button_fire"),
        (icebreaker.BOARD, "icebreaker", "ICEBreakerPlatform", "clk12", "button"),
    ],
    ids=["ulx3s-85f", "icebreaker"],
)
def test_pins_are_those_of_amaranth_boards(board, file, platform, clock, button):
    platform = getattr(pytest.importorskip(f"amaranth_boards.{file}"), platform)()
    system, pins = board.system, board.system.pins
    assert board.part.name.lower().startswith(platform.device.lower())
    assert platform.resources[clock, 0].clock.frequency == 1e6 * system.oscillator_mhz
    assert _pins(platform, clock) == ([pins["clock"]], False)
    assert _pins(platform, button) == ([pins["reset"]], system.reset_active_low)
    for line in ("rx", "tx"):
        assert _pins(platform, "uart", line) == ([pins[line]], False)
    leds = [_pins(platform, "led", number=n) for name, n in platform.resources if name == "led"]
    for name in ("led_busy", "led_error"):
        assert ([pins[name]], system.led_active_low) in leds


def test_part_is_that_of_amaranth_boards():
    arty = pytest.importorskip("amaranth_boards.arty_z7").ArtyZ720Platform
    assert pynq_z2.BOARD.part.name == f"{arty.device}{arty.package}-{arty.speed}"
