"""The host, its watchdog and its comparison, on a stand-in machine that misbehaves to order."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from quantflow import tuned_file
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.errors import UserError
from quantflow.manifest import MODEL, TUNED, VERILOG, Manifest
from quantflow.registers import Error
from sim.inference import simulate
from sim.machine import SimulationError
from sim.simulator import WAVES
from sim.testbench import with_parameters
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=3, lanes=4, port_bits=32, watchdog_cycles=2000)
SIMULATOR = os.environ.get("QUANTFLOW_TEST_SIMULATOR", "verilator")


class _Board:
    name, clock_mhz, memory = "stand-in", 100, MemoryTiming()


NEVER = 0xFFFFFFFF


def _copying_build(folder, **behaviour):
    """A build of the one network that copying computes: maximum over 1 x 1 windows.

    `behaviour` is what the stand-in does wrong; see stand_in.sv.
    """
    network = RandomNetwork(1, (6, 5, 7)).pool((1, 1))
    quantized = network.finish()
    deployment = compile_network(quantized, CONFIG)
    manifest = Manifest.of(deployment, _Board)
    program = manifest.programs["cold"]
    parameters = {
        "DATA_WIDTH": CONFIG.port_bits,
        "BEATS": manifest.output.bytes // CONFIG.port_bytes,
        "LOADS": len(program.of_unit("load")),
        "COMPUTES": len(program.of_unit("compute")),
        "STORES": len(program.of_unit("store")),
    }
    right = {
        "identity": manifest.identity, "wrong_beat": NEVER, "hang_after": NEVER, "hang_waiting": 0,
        "error_after": NEVER, "error_code": 0,
    }  # fmt: skip
    source = Path(__file__).with_name("stand_in.sv").read_text()
    folder.mkdir(exist_ok=True)
    manifest.write(folder)
    (folder / VERILOG).write_text(with_parameters(source, parameters))
    lines = [f"{value:x}\n" for value in (right | behaviour).values()]
    (folder / "behaviour.hex").write_text("".join(lines))
    (folder / MODEL).write_bytes(deployment.image.tobytes())
    tuned_file.save(quantized, folder / TUNED)
    return manifest, dequantize(network.images(3), quantized.input)


def test_bit_exact_run(tmp_path):
    """Figures add up, outputs are the engine's, and progress is told, for a machine that is right."""
    manifest, images = _copying_build(tmp_path)
    calls = []
    result = simulate(
        tmp_path, images, simulator=SIMULATOR, progress=lambda done, total: calls.append((done, total))
    )
    assert result.bit_exact and result.mismatches == 0 and result.first_mismatch is None
    assert result.images == 3 == len(result.image_cycles) == len(result.outputs)
    assert sum(layer.cycles for layer in result.layers) == pytest.approx(result.cycles_per_image)
    beats = manifest.output.bytes // CONFIG.port_bytes
    instructions = len(manifest.programs["cold"].instructions)
    transfer = 10 + beats + 10
    assert transfer + instructions <= result.cycles_per_image <= transfer + instructions + 25
    assert calls[0] == (0, 3) and calls[-1] == (3, 3)
    assert list(result.to_json()) == [
        "images", "mismatches", "bit_exact", "cycles_per_image", "macs", "multipliers", "utilization",
        "layers", "simulated_cycles_per_second",
    ]  # fmt: skip
    assert list(result.to_json()["layers"][0]) == ["name", "cycles", "macs", "utilization"]
    assert simulate(tmp_path, images, count=1, simulator=SIMULATOR).images == 1


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_icarus_with_waves(tmp_path):
    """The other simulator: the same cycles, and waves."""
    _, images = _copying_build(tmp_path)
    result = simulate(tmp_path, images, simulator="icarus", waves=True)
    assert result.bit_exact and (tmp_path / "simulation" / WAVES["icarus"]).stat().st_size


def _place_in(manifest, beat):
    """(channel, row, column) of the element whose lowest bit is that of a beat of the output; None for padding."""
    data = np.zeros(manifest.output.bytes, np.uint8)
    data[beat * CONFIG.beat_bytes] = 1
    places = np.argwhere(manifest.output.unpack(data.tobytes()))
    return tuple(places[0].tolist()) if len(places) else None


def test_mismatch_is_named(tmp_path):
    """Layer, channel, pixel and both values of the first wrong element."""
    manifest, _ = _copying_build(tmp_path)
    beat = next(beat for beat in range(17, manifest.output.bytes) if _place_in(manifest, beat))
    channel, row, column = _place_in(manifest, beat)
    manifest, images = _copying_build(tmp_path, wrong_beat=beat)
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
    manifest, images = _copying_build(tmp_path, hang_after=1, hang_waiting=waiting)
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
    manifest, images = _copying_build(tmp_path, error_after=0, error_code=int(code))
    with pytest.raises(SimulationError) as error:
        simulate(tmp_path, images, simulator=SIMULATOR)
    assert "the machine stopped with activation address after " in str(error.value)
    assert _instruction(manifest, "compute", 0) in str(error.value)


def test_other_machine(tmp_path):
    """A build whose machine is another configuration's is refused."""
    _, images = _copying_build(tmp_path, identity=0x1234)
    with pytest.raises(SimulationError, match="the machine's identity is 0x00001234, but the programs are for"):
        simulate(tmp_path, images, simulator=SIMULATOR)


def test_refused_arguments(tmp_path):
    _, images = _copying_build(tmp_path)
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
