"""The host, its watchdog and its comparison, on a stand-in machine that misbehaves to order."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from quantflow.errors import UserError
from quantflow.registers import Error
from sim.inference import simulate
from sim.machine import SimulationError
from sim.simulator import WAVES
from sim.testbench import TRACE_FILE
from sim.waves import Window
from tests.sim.copying import CONFIG, copying_build

SIMULATOR = os.environ.get("QUANTFLOW_TEST_SIMULATOR", "verilator")


def test_bit_exact_run(tmp_path):
    """Figures add up, outputs are the engine's, and progress is told, for a machine that is right."""
    manifest, images = copying_build(tmp_path)
    calls = []
    result = simulate(tmp_path, images, simulator=SIMULATOR, progress=lambda *call: calls.append(call))
    assert result.bit_exact and result.mismatches == 0 and result.first_mismatch is None
    assert result.images == 3 == len(result.image_cycles) == len(result.outputs)
    assert sum(layer.cycles for layer in result.layers) == pytest.approx(result.cycles_per_image)
    beats = manifest.output.bytes // CONFIG.port_bytes
    instructions = len(manifest.programs["cold"].instructions)
    transfer = 10 + beats + 10
    assert transfer + instructions <= result.cycles_per_image <= transfer + instructions + 25
    predicted = sum(manifest.programs[name].estimated_cycles for name in result.programs)
    assert calls[0] == (0, predicted, "image 1 of 3, pool1")
    assert calls[-1] == (calls[-1][1], calls[-1][1], "comparing") and calls[-1][0] > sum(result.image_cycles)
    assert simulate(tmp_path, images, count=1, simulator=SIMULATOR).images == 1


def test_figures_for_json(tmp_path):
    """Predicted beside measured, bytes by cause and a timeline: all of it is JSON, and agrees with itself."""
    manifest, images = copying_build(tmp_path)
    result = simulate(tmp_path, images, simulator=SIMULATOR)
    figures = json.loads(json.dumps(result.to_json()))
    assert "outputs" not in figures and figures["programs"] == list(result.programs)
    (layer,) = figures["layers"]
    predicted = [manifest.programs[name].predicted[0] for name in result.programs]
    assert layer["predicted_cycles"] == pytest.approx(np.mean([stage.cycles for stage in predicted]))
    assert figures["predicted_cycles_per_image"] == layer["predicted_cycles"] == sum(layer["shares"].values())
    assert layer["shares"][layer["bound"]] == max(layer["shares"].values())
    assert layer["bytes_moved"]["output"] == manifest.output.bytes
    assert figures["bytes_per_cycle"] == 2 * CONFIG.beat_bytes
    assert figures["counters"][0]["cycles"] == figures["image_cycles"][0]
    assert list(figures["timelines"]) == list(dict.fromkeys(result.programs))
    timeline = figures["timelines"]["cold"]
    assert timeline["cycles"] == result.image_cycles[0]
    assert [unit for unit, *_ in timeline["spans"]] == ["load", "compute", "store"]
    for _, stage, start, end in timeline["spans"]:
        assert stage == 0 and 0 <= start < end <= timeline["cycles"]


@pytest.mark.parametrize("window", [Window(first=20, last=40), Window(layer="pool1"), Window()])
def test_waves_of_a_window(tmp_path, window):
    """Cycles from the start of the first image, a layer, or everything."""
    manifest, images = copying_build(tmp_path)
    simulate(tmp_path, images, count=2, waves=window)
    cycles = _recorded_cycles(tmp_path / "simulation" / WAVES["verilator"])
    trace = [line.split() for line in (tmp_path / "simulation" / TRACE_FILE).read_text().splitlines()]
    computes = [int(cycle) for cycle, event in trace if event == "C"]
    ends = [int(cycle) for cycle, event in trace if event == "I"]
    if window.layer:
        retired = len(manifest.programs["cold"].of_unit("compute"))
        assert cycles[-1] - computes[retired - 1] in (1, 2) and cycles[0] < computes[0]
    elif window.last == 40:
        assert 20 - 2 <= len(cycles) <= 20 + 2 and cycles[0] < ends[0] and cycles == sorted(cycles)
    else:
        assert cycles[0] < ends[0] and cycles[-1] > ends[-1]


def _recorded_cycles(path):
    """The values that the testbench's counter of cycles has in a VCD file."""
    text = path.read_text()
    (sign,) = re.search(r"\$var \S+ +64 (\S+) cycle \[63:0\] \$end", text).groups()
    return [int(value, 2) for value in re.findall(rf"^b([01]+) {re.escape(sign)}$", text, re.MULTILINE)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("conv9", None), "there is no layer conv9 whose waves could be recorded; there are pool1"),
        ((None, "10"), "a window of cycles is written FROM:TO, such as 1000:2000, not '10'"),
        ((None, "10:10"), "a window of cycles is written FROM:TO"),
        (("pool1", "1:2"), "waves are limited to a layer or to cycles, not to both"),
    ],
)
def test_windows_that_do_not_exist(tmp_path, asked, message):
    manifest, _ = copying_build(tmp_path)
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        Window.of(*asked).inputs(manifest)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_with_waves(tmp_path):
    """The other simulator: the same cycles, and waves."""
    _, images = copying_build(tmp_path)
    result = simulate(tmp_path, images, simulator="icarus", waves=Window(first=10, last=20))
    assert result.bit_exact and (tmp_path / "simulation" / WAVES["icarus"]).stat().st_size


def _place_in(manifest, beat):
    """(channel, row, column) of the element whose lowest bit is that of a beat of the output; None for padding."""
    data = np.zeros(manifest.output.bytes, np.uint8)
    data[beat * CONFIG.beat_bytes] = 1
    places = np.argwhere(manifest.output.unpack(data.tobytes()))
    return tuple(places[0].tolist()) if len(places) else None


def test_mismatch_is_named(tmp_path):
    """Layer, channel, pixel and both values of the first wrong element."""
    manifest, _ = copying_build(tmp_path)
    beat = next(beat for beat in range(17, manifest.output.bytes) if _place_in(manifest, beat))
    channel, row, column = _place_in(manifest, beat)
    manifest, images = copying_build(tmp_path, wrong_beat=beat)
    result = simulate(tmp_path, images, count=2, simulator=SIMULATOR)
    assert not result.bit_exact and result.mismatches == 2
    value = int(images[0, channel, row, column] * 2**manifest.input.format.fl)
    assert result.first_mismatch == (
        f"image 0: layer pool1, channel {channel}, pixel (row {row}, column {column}): "
        f"expected {value}, got {value ^ 1} (1 of {6 * 5 * 7} values differ)"
    )


def _instruction(manifest, unit, number):
    index, record = manifest.programs["cold"].of_unit(unit)[number]
    return f"{unit} is at instruction {index}: {record.text}  ({record.label})"


@pytest.mark.parametrize("waiting", [0, 1])
def test_stall_is_named(tmp_path, waiting):
    """The watchdog ends the run and names the unit and its instruction."""
    manifest, images = copying_build(tmp_path, hang_after=1, hang_waiting=waiting)
    with pytest.raises(SimulationError) as error:
        simulate(tmp_path, images, simulator=SIMULATOR)
    message = str(error.value)
    assert message.startswith("image 0, cold program: the machine stands still after ")
    assert _instruction(manifest, "compute", 1) in message
    if waiting:
        assert "compute and store waits for a token that nobody sends" in message
        assert _instruction(manifest, "store", 0) in message
    else:
        assert "compute gets no further" in message and "(store waits for a token)" in message


def test_error_is_named(tmp_path):
    """An error code of the machine ends the run, with its name and the units' instructions."""
    code = Error.ACTIVATION_ADDRESS
    manifest, images = copying_build(tmp_path, error_after=0, error_code=int(code))
    with pytest.raises(SimulationError) as error:
        simulate(tmp_path, images, simulator=SIMULATOR)
    assert "the machine stopped with activation address after " in str(error.value)
    assert _instruction(manifest, "compute", 0) in str(error.value)


def test_other_machine(tmp_path):
    """A build whose machine is another configuration's is refused."""
    _, images = copying_build(tmp_path, identity=0x1234)
    with pytest.raises(SimulationError, match="the machine's identity is 0x00001234, but the programs are for"):
        simulate(tmp_path, images, simulator=SIMULATOR)


def test_refused_arguments(tmp_path):
    _, images = copying_build(tmp_path)
    with pytest.raises(UserError, match="^the array of images has shape "):
        simulate(tmp_path, images[..., 0])
    with pytest.raises(UserError, match="there are 3 images, fewer than the 4 to simulate"):
        simulate(tmp_path, images, count=4)
    with pytest.raises(UserError, match="at least 1 image is simulated, not 0"):
        simulate(tmp_path, images, count=0)
    with pytest.raises(UserError, match="the array of images "):
        simulate(tmp_path, images * np.nan)
    with pytest.raises(UserError, match="there is no simulator modelsim; known are verilator, icarus"):
        simulate(tmp_path, images, simulator="modelsim")
    with pytest.raises(UserError, match="is no build folder"):
        simulate(tmp_path / "nowhere", images)
