"""Compiled programs on the emulator equal the integer engine, for many networks and machines."""

from dataclasses import replace

import numpy as np
import pytest

from quantflow import integer_engine, isa
from quantflow.compiler import compile_network
from quantflow.compiler.image import program_bytes
from quantflow.config import Config
from quantflow.emulator import EmulationError, Emulator
from quantflow.errors import UserError
from tests.quantflow.networks import RandomNetwork

MODEL, INPUT, OUTPUT = 0x1000, 0x200000, 0x300000

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


def run(deployment, q_image, program, memory=None, emulator=None, seed=0):
    """One inference on the emulator: the memory afterwards, and the machine for a warm run."""
    if emulator is None:
        memory = np.zeros(OUTPUT + deployment.output_bytes, np.uint8)
        memory[MODEL : MODEL + len(deployment.image)] = deployment.image
        emulator = Emulator(deployment.config, memory, (MODEL, INPUT, OUTPUT))
    packed = deployment.input.pack(q_image)
    emulator.memory[INPUT : INPUT + len(packed)] = packed
    emulator.run(MODEL + deployment.programs[program].offset, deployment.programs[program].length, seed=seed)
    return emulator


def result(emulator, transfer, offset=0):
    start = OUTPUT + offset
    return transfer.unpack(emulator.memory[start : start + transfer.bytes].tobytes())


COMBINATIONS = [
    (name, machine)
    for name in NETWORKS
    for machine in CONFIGS
    # Two requantizers on four pixels cannot write for a reader with a column step of 3.
    if not (machine == "4x4, R=2" and name in ("strides", "wide first kernel"))
]


@pytest.mark.parametrize(("name", "machine"), COMBINATIONS)
def test_emulator_equals_integer_engine(name, machine):
    config = CONFIGS[machine]
    builder = NETWORKS[name](activation_bits=config.activation_bits, weight_bits=config.weight_bits)
    quantized = builder.finish()
    images = builder.images(2)
    deployment = compile_network(quantized, config)
    maps = integer_engine.run_integers(quantized, images, keep=True)
    last = quantized.network.layers[-1].name
    for seed in (0, 1):
        emulator = run(deployment, images[0], "cold", seed=seed)
        np.testing.assert_array_equal(result(emulator, deployment.output), maps[last][0])
    if "warm" in deployment.programs:
        run(deployment, images[1], "warm", emulator=emulator)
        np.testing.assert_array_equal(result(emulator, deployment.output), maps[last][1])
    emulator = run(deployment, images[1], "trace")
    for transfer, offset in zip(deployment.traces, deployment.trace_offsets, strict=True):
        np.testing.assert_array_equal(result(emulator, transfer, offset), maps[transfer.name][1], transfer.name)


def compiled(config, name="lenet"):
    quantized = NETWORKS[name](activation_bits=config.activation_bits, weight_bits=config.weight_bits).finish()
    return compile_network(quantized, config)


def test_pooling_is_fused_only_where_it_saves_cycles():
    """Five pooled columns take three groups of two pixels; ten columns take five."""
    narrow = compiled(CONFIGS["1x8"])
    wide = compiled(CONFIGS["2x8"])
    assert [stage.name for stage in narrow.stages] == ["conv1+pool2", "conv3+pool4", "fc5", "fc6"]
    assert [stage.name for stage in wide.stages] == ["conv1+pool2", "conv3", "pool4", "fc5", "fc6"]


def test_first_kernel_columns_become_channels():
    deployment = compiled(CONFIGS["1x8"])
    assert deployment.input.memory_shape == (5, 28, 28)
    assert deployment.stages[0].array_cycles == 28 * 28 * 5


def test_warm_program_only_where_weights_stay():
    assert "warm" in compiled(CONFIGS["1x8"]).programs
    assert "warm" not in compiled(CONFIGS["1x8, streamed"]).programs


def test_listing_names_every_instruction():
    program = compiled(CONFIGS["1x8"]).programs["cold"]
    lines = program.listing().splitlines()
    assert len(lines) == program.length
    assert "weights" in lines[1] and "load" in lines[1]
    assert lines[-1].split()[1] == "store"


def test_a_lost_token_is_a_deadlock_that_names_the_instruction():
    deployment = compiled(CONFIGS["1x8"])
    program = deployment.programs["cold"]
    first_compute = next(i for i, word in enumerate(program.instructions) if word.opcode == isa.Opcode.COMPUTE)
    size = isa.instruction_bits(deployment.config) // 8
    offset = program.offset + (first_compute - 1) * size
    lost = replace(program.instructions[first_compute - 1], signal=0)
    deployment.image[offset : offset + size] = program_bytes([lost], deployment.config)
    image = np.zeros(deployment.input.shape, np.int32)
    with pytest.raises(EmulationError, match="compute waits at instruction .* for load"):
        run(deployment, image, "cold")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation_depth": 900}, r"layer conv1\+pool2 does not fit: .* need 980 words .* which has 900"),
        ({"weight_depth": 40}, r"layer conv3\+pool4 .* needs 25 words in half of the weight scratchpad, which has 20"),
        ({"activation_bits": 7}, "the network's input has activations of 8 bits; the machine has 7"),
        ({"weight_bits": 6}, r"layer conv1\+pool2 has weights of 8 bits; the machine has 6"),
        ({"accumulator_bits": 16}, r"layer conv1\+pool2 has sums of \d+ bits; the machine has 16"),
        ({"extent_bits": 4}, "does not fit the instruction set: load.columns is 0 to 15"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    config = Config(**{"pixels": 1, "lanes": 8} | changes)
    with pytest.raises(UserError, match=message):
        compile_network(NETWORKS["lenet"]().finish(), config)


@pytest.mark.parametrize("shift", [-8, 32])
def test_shifts_beyond_the_requantizers_are_refused(shift):
    quantized = NETWORKS["pool first"]().finish()
    quantized.layers["conv2"].shift[1] = shift
    message = f"^layer conv2 shifts its sums by {shift} bits; the machine shifts by -7 to 31$"
    with pytest.raises(UserError, match=message):
        compile_network(quantized, CONFIGS["1x8"])


def test_random_networks_shift_to_the_left():
    """Else no comparison here or on the gateware would see it; some results are 0, some in between, some saturate."""
    builder = NETWORKS["strides"]()
    quantized = builder.finish()
    maps = integer_engine.run_integers(quantized, builder.images(2), keep=True)
    values = np.concatenate([maps[name][:, entry.shift < 0].ravel() for name, entry in quantized.layers.items()])
    assert (values == 0).any() and (values == 127).any() and ((values > 0) & (values < 127)).any()


def test_branches_are_refused():
    quantized = NETWORKS["pool first"]().finish()
    layers = quantized.network.layers
    network = replace(quantized.network, layers=(layers[0], replace(layers[1], inputs=("image",))))
    with pytest.raises(UserError, match="only chains are compiled"):
        compile_network(replace(quantized, network=network), CONFIGS["1x8"])
