"""The whole machine under the simulated host: bit-exact, in time, and telling what goes wrong."""

import json
from dataclasses import replace

import numpy as np
import pytest

import boards
from boards.project import write_project
from quantflow import isa
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import MANIFEST, MODEL, Manifest
from quantflow.seal import seal
from sim.inference import simulate
from sim.machine import SimulationError
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(
    pixels=3, lanes=4, port_bits=32, activation_depth=256, weight_depth=256, parameter_depth=16, watchdog_cycles=4000
)
BOARD = replace(boards.find("ulx3s-85f"), config=CONFIG)
# Of the cycle model: a share, and cycles in which a program as short as this one is still being
# fetched between the beats of its loads.
TOLERANCE, FETCH_CYCLES = 0.05, 50


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Deployment, build folder and three images of a network of four layers."""
    network = RandomNetwork(7, (3, 12, 11)).convolution(6, (3, 3)).pool((2, 2)).convolution(9, (2, 3))
    quantized = network.dense(7, relu=False).finish()
    deployment = compile_network(quantized, CONFIG)
    folder = tmp_path_factory.mktemp("system") / "build"
    write_project(deployment, quantized, BOARD, folder)
    return deployment, folder, dequantize(network.images(3), quantized.input)


def test_bit_exact(system):
    """Three inferences back to back, cold and warm, in the cycles that the model estimates."""
    deployment, folder, images = system
    result = simulate(folder, images)
    assert result.bit_exact, result.first_mismatch
    programs = Manifest.read(folder).programs
    estimates = [programs[name].estimated_cycles for name in ("cold", "warm", "warm")]
    np.testing.assert_allclose(result.image_cycles, estimates, rtol=TOLERANCE, atol=FETCH_CYCLES)
    assert sum(layer.cycles for layer in result.layers) == pytest.approx(result.cycles_per_image)
    assert result.utilization == pytest.approx(result.macs / result.multipliers / np.mean(result.image_cycles))
    instructions = deployment.programs["cold"].instructions
    for opcode, unit in ((isa.Opcode.LOAD, "load"), (isa.Opcode.COMPUTE, "compute"), (isa.Opcode.STORE, "store")):
        assert result.counters[0][f"{unit}_retired"] == sum(i.opcode == opcode for i in instructions)


@pytest.fixture
def model(system):
    """The build folder's model image, to be spoiled; restored afterwards."""
    path = system[1] / MODEL
    before = path.read_bytes()
    yield np.frombuffer(before, np.uint8).copy()
    path.write_bytes(before)


def _spoil(system, model, number, **fields):
    """Replace fields of an instruction of the cold program."""
    program = system[0].programs["cold"]
    _write(system, model, number, isa.encode(replace(program.instructions[number], **fields), CONFIG))


def _write(system, model, number, word):
    """Replace an instruction of the cold program."""
    program = system[0].programs["cold"]
    data = np.frombuffer(seal(word, CONFIG, last=number == program.length - 1), np.uint8)
    start = program.offset + number * len(data)
    model[start : start + len(data)] = data
    (system[1] / MODEL).write_bytes(model.tobytes())


def _index(system, opcode, number=0):
    instructions = system[0].programs["cold"].instructions
    return [n for n, i in enumerate(instructions) if i.opcode == opcode][number]


def _failure(system):
    with pytest.raises(SimulationError) as error:
        simulate(system[1], system[2], count=1)
    return str(error.value)


def test_wrong_layer_is_named(system, model):
    """A spoilt weight of the second convolution shows there first, though every later layer is wrong too."""
    deployment, folder, images = system
    program = deployment.programs["cold"]
    for number, label in enumerate(program.labels):
        if label == "conv3: weights":
            start = program.instructions[number].memory_address
            # Element 0 of every word: the weight from a block's first input channel to output 0.
            model[start : start + CONFIG.lanes**2 * 6] ^= 0x40
    (folder / MODEL).write_bytes(model.tobytes())
    result = simulate(folder, images, count=1)
    assert result.mismatches == 1 and result.first_mismatch.startswith("image 0: layer conv3, channel ")


def test_missing_token(system, model):
    number = _index(system, isa.Opcode.COMPUTE)
    _spoil(system, model, number, wait=1 << isa.Unit.STORE)
    message = _failure(system)
    assert "waits for a token that nobody sends" in message and f"compute is at instruction {number}: " in message


def test_illegal_instruction(system, model):
    number = _index(system, isa.Opcode.COMPUTE, 1)
    word = isa.encode(system[0].programs["cold"].instructions[number], CONFIG)
    _write(system, model, number, word & ~7)  # no opcode
    # It is found ahead of the units, so each of them still has its instruction.
    message = _failure(system)
    assert "the machine stopped with illegal instruction" in message
    assert "load is at instruction " in message and "compute is at instruction " in message


def test_damaged_instruction(system, model):
    program = system[0].programs["cold"]
    number = _index(system, isa.Opcode.STORE)
    model[program.offset + number * isa.instruction_bits(CONFIG) // 8 + 9] ^= 0x10
    (system[1] / MODEL).write_bytes(model.tobytes())
    assert "the machine stopped with damaged program" in _failure(system)


def test_memory_that_does_not_exist(system, model):
    number = _index(system, isa.Opcode.LOAD)
    _spoil(system, model, number, memory_address=1 << 24)
    message = _failure(system)
    assert "the machine stopped with memory address" in message
    assert f"load is at instruction {number}: " in message


def test_scratchpad_address_that_does_not_exist(system, model):
    number = _index(system, isa.Opcode.COMPUTE)
    source = system[0].programs["cold"].instructions[number].source
    _spoil(system, model, number, source=replace(source, address=CONFIG.activation_depth + 1))
    assert "the machine stopped with activation address" in _failure(system)


def test_stale_build(system):
    """Programs for another configuration are not run."""
    path = system[1] / MANIFEST
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"identity": 1}))
    try:
        assert "but the programs are for 0x00000001: generate the build again" in _failure(system)
    finally:
        path.write_text(before)
