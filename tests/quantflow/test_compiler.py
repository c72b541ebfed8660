"""Compiled programs on the emulator equal the integer engine, for many networks and machines."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow import integer_engine, isa
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.emulator import EmulationError
from quantflow.errors import UserError
from quantflow.seal import seal
from tests.quantflow.compiled import check, run
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.shifts import shifts

CONFIGS = {
    "1x8": Config(pixels=1, lanes=8),
    "2x8": Config(pixels=2, lanes=8),
    "3x4, 32-bit port": Config(pixels=3, lanes=4, port_bits=32),
    "4x4, R=2": Config(pixels=4, lanes=4, port_bits=32, requantizers=2),
    "7x2, 16-bit activations": Config(
        pixels=7, lanes=2, port_bits=32, activation_bits=16, accumulator_bits=36, weight_depth=4096, parameter_depth=128
    ),
    "2x4, 16 bits": Config(
        pixels=2,
        lanes=4,
        port_bits=32,
        activation_bits=16,
        weight_bits=16,
        accumulator_bits=44,
        weight_depth=4096,
    ),
    "3x16, 2 bits": Config(pixels=3, lanes=16, port_bits=32, activation_bits=2, weight_bits=2, accumulator_bits=20),
    "1x8, streamed": Config(pixels=1, lanes=8, weight_depth=120, parameter_depth=4),
}

NETWORKS = {
    "lenet": lambda **bits: (
        RandomNetwork(1, (1, 28, 28), **bits)
        .convolution(6, (5, 5), padding=(2, 2, 2, 2))
        .pool((2, 2))
        .convolution(16, (5, 5))
        .pool((2, 2))
        .dense(30)
        .dense(10, relu=False)
    ),
    "strides": lambda **bits: (
        RandomNetwork(2, (5, 23, 19), **bits)
        .convolution(7, (3, 3), (2, 2), (1, 0, 1, 2))
        .convolution(9, (1, 1))
        .pool((3, 3), (2, 2), (1, 1, 0, 1))
        .convolution(10, (2, 3), (1, 3), (0, 2, 1, 1), relu=False)
    ),
    "wide first kernel": lambda **bits: (
        RandomNetwork(3, (2, 16, 31), **bits).convolution(4, (4, 7), (2, 2), (0, 3, 2, 3)).pool((3, 3)).dense(17)
    ),
    "pool first": lambda **bits: RandomNetwork(4, (3, 12, 12), **bits).pool((2, 2)).convolution(3, (3, 3)),
    "perceptron": lambda **bits: RandomNetwork(5, (70, 1, 1), **bits).dense(33).dense(5, relu=False),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("machine", CONFIGS)
def test_emulator_equals_integer_engine(name, machine):
    config = CONFIGS[machine]
    builder = NETWORKS[name](activation_bits=config.activation_bits, weight_bits=config.weight_bits)
    quantized, images = builder.finish(), builder.images(2)
    deployment = compile_network(quantized, config)
    check(deployment, images, integer_engine.run_integers(quantized, images, keep=True))


def compiled(config, name="lenet"):
    quantized = NETWORKS[name](activation_bits=config.activation_bits, weight_bits=config.weight_bits).finish()
    return compile_network(quantized, config)


def test_warm_program_only_where_weights_stay():
    assert "warm" in compiled(CONFIGS["1x8"]).programs
    assert "warm" not in compiled(CONFIGS["1x8, streamed"]).programs


def test_listing_names_every_instruction():
    program = compiled(CONFIGS["1x8"]).programs["cold"]
    lines = program.listing().splitlines()
    assert len(lines) == program.length
    labels = [line.rsplit(": ", 1)[-1] for line in lines if line.split()[1] == "load"]
    assert {"biases and shifts", "weights"} < set(labels)
    assert lines[-1].split()[1] == "store"


def test_bytes_moved_are_those_of_the_instructions():
    deployment = compiled(CONFIGS["1x8, streamed"])
    for program in deployment.programs.values():
        moved = sum(word.beats for word in program.instructions if word.opcode != isa.Opcode.COMPUTE)
        assert sum(program.bytes_moved.values()) == moved * deployment.config.beat_bytes
    assert deployment.programs["cold"].bytes_moved["weights"] == 16768  # every word once: they are used in order


def test_a_lost_token_is_a_deadlock_that_names_the_instruction():
    deployment = compiled(CONFIGS["1x8"])
    program, compute = deployment.programs["cold"], 1 << isa.Unit.COMPUTE
    number = next(i for i, word in enumerate(program.instructions) if word.signal & compute)
    size = isa.instruction_bits(deployment.config) // 8
    offset = program.offset + number * size
    lost = replace(program.instructions[number], signal=0)
    sealed = seal(isa.encode(lost, deployment.config), deployment.config, last=False)
    deployment.image[offset : offset + size] = np.frombuffer(sealed, np.uint8)
    with pytest.raises(EmulationError, match="compute waits at instruction .* for load"):
        run(deployment, np.zeros(deployment.input.shape, np.int32), "cold")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"activation_depth": 139},
            r"layer conv1\+pool2 does not fit: .* row needs \d+ words .* which has 139",
        ),
        ({"weight_depth": 20}, r"layer conv3\+pool4 .* needs 25 words of the weight scratchpad, which has 20"),
        ({"activation_bits": 7}, "the map image has activations of 8 bits; the machine has 7"),
        ({"accumulator_bits": 16}, r"layer conv1\+pool2 has sums of \d+ bits; the machine has 16"),
        ({"extent_bits": 4}, "conv1.* does not fit the instruction set: compute.rows is 0 to 15"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    config = Config(**{"pixels": 1, "lanes": 8} | changes)
    with pytest.raises(UserError, match=message):
        compile_network(NETWORKS["lenet"]().finish(), config)


def test_random_networks_shift_to_the_left():
    """Else no comparison here or on the gateware would see it; some results are 0, some in between, some saturate."""
    builder = NETWORKS["strides"]()
    quantized = builder.finish()
    maps = integer_engine.run_integers(quantized, builder.images(2), keep=True)
    values = np.concatenate([maps[name][:, shifts(quantized, name) < 0].ravel() for name in quantized.layers])
    assert (values == 0).any() and (values == 127).any() and ((values > 0) & (values < 127)).any()
