"""Instructions overlap only where nothing is read that may not have been written, and mostly do."""

from types import SimpleNamespace

import numpy as np
import pytest

from quantflow.compiler import compile_network
from quantflow.compiler.overlaps import pipeline_cycles
from quantflow.config import Config
from quantflow.emulator.gather import residual_taps, source_taps
from quantflow.emulator.scatter import scatter
from quantflow.emulator.scratchpads import Scratchpads
from quantflow.isa import Opcode, Operation
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.random_dags import random_dag


class Numbered(Scratchpads):
    """Activation banks whose words are their own numbers, 1 and up."""

    def __init__(self, config):
        super().__init__(config)
        shape = self.activations.shape[:2]
        self.activations = np.arange(1, np.prod(shape) + 1).reshape(*shape, 1)

    def as_operand(self, words, unsigned):
        return words


def groups(instruction, config, numbered):
    """(cycles, numbers read, numbers written) of each group of results in order."""
    steps = instruction.kernel_rows * instruction.kernel_columns * instruction.input_blocks * instruction.passes
    steps += instruction.residual_passes * instruction.residual_blocks
    windows = [(wy, wx) for wy in range(instruction.window_rows) for wx in range(instruction.window_columns)]
    cycles = max(steps, config.drain_cycles) * len(windows)
    for block in range(instruction.output_blocks):
        for row in np.arange(instruction.output_rows)[:, None]:
            taps = [source_taps(numbered, instruction, row, block, *window) for window in windows]
            reads = [np.where(inside, numbers[..., 0], 0)[0] for numbers, inside in taps]
            if instruction.residual_passes:
                reads.append(residual_taps(numbered, instruction, row, block)[0])
            written = SimpleNamespace(
                config=config, activations=np.zeros_like(numbered.activations), checked=numbered.checked
            )
            order = 1 + np.arange(instruction.output_groups * config.pixels).reshape(1, -1, config.pixels, 1)
            if not instruction.partial:
                scatter(written, instruction, row, block, order)
            number_of = np.where(written.activations[..., 0] > 0, numbered.activations[..., 0], 0)
            for group in range(instruction.output_groups):
                mine = (written.activations[..., 0] - 1) // config.pixels == group
                yield cycles, set().union(*(set(r[group].flat) for r in reads)) - {0}, set(number_of[mine].flat) - {0}


def overlapped(program, config):
    """(compute instructions, those that overlap); asserts that what they read has been written by then."""
    now, landing, numbered, count, flags = 0, [], Numbered(config), 0, 0
    for instruction in program.instructions:
        if instruction.opcode != Opcode.COMPUTE:
            continue
        assert instruction.operation in list(Operation)
        count, flags = count + 1, flags + instruction.overlaps
        if not instruction.overlaps:
            landing = []
        for cycles, reads, writes in groups(instruction, config, numbered):
            landing = [(end, words) for end, words in landing if end + pipeline_cycles(config) > now]
            for end, words in landing:
                assert not words & reads, f"cycle {now} reads what was computed at {end}"
            now += cycles
            landing.append((now, writes))
    return count, flags


CONFIGS = {
    "2x8": Config(pixels=2, lanes=8, accumulator_bits=40),
    "4x4, R=2": Config(pixels=4, lanes=4, port_bits=32, requantizers=2, accumulator_bits=40),
    "3x4, tiny": Config(
        pixels=3, lanes=4, port_bits=32, activation_depth=220, weight_depth=60, parameter_depth=4, accumulator_bits=40
    ),
}


@pytest.mark.parametrize("machine", CONFIGS)
def test_a_chain_overlaps_but_for_its_fully_connected_layers(machine):
    network = RandomNetwork(1, (3, 18, 18)).convolution(8, (3, 3), padding=(1, 1, 1, 1)).pool((2, 2))
    network.convolution(12, (3, 3), padding=(1, 1, 1, 1)).convolution(8, (1, 1)).dense(5)
    deployment = compile_network(network.finish(), CONFIGS[machine])
    for program in deployment.programs.values():
        count, flags = overlapped(program, CONFIGS[machine])
        assert flags >= count // 2


@pytest.mark.parametrize("seed", [0, 3, 5, 8])
@pytest.mark.parametrize("machine", ["2x8", "4x4, R=2"])
def test_branches_overlap_safely(machine, seed):
    deployment = compile_network(random_dag(seed).finish(), CONFIGS[machine])
    overlapped(deployment.programs["cold"], CONFIGS[machine])


def test_the_check_can_fail():
    network = RandomNetwork(1, (3, 4, 4)).convolution(8, (3, 3)).dense(5)
    deployment = compile_network(network.finish(), CONFIGS["2x8"])
    program = deployment.programs["cold"]
    hurried = [
        instruction if instruction.opcode != Opcode.COMPUTE else type(instruction)(
            **{key: value for key, value in vars(instruction).items() if key not in ("opcode", "overlaps")}, overlaps=1
        )
        for instruction in program.instructions
    ]  # fmt: skip
    with pytest.raises(AssertionError, match="reads what was computed"):
        overlapped(SimpleNamespace(instructions=hurried), CONFIGS["2x8"])
