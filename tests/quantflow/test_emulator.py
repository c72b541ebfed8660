"""The emulator refuses what the machine would stop at, and names it."""

from dataclasses import fields as fields_of

import numpy as np
import pytest

from quantflow.config import Config
from quantflow.emulator import EmulationError, Emulator
from quantflow.isa import Compute, Load, Map, Position, Region, Store, Target

CONFIG = Config(pixels=2, lanes=8, activation_depth=32, weight_depth=8, parameter_depth=2, accumulator_bits=18)
MAP = Map(address=0, row_stride=4, block_stride=4, phase_stride=2, phases=1)
NOWHERE = Position(phase=0, bank=0, group=0)
BANK, GROUP = Position(phase=0, bank=1, group=0), Position(phase=0, bank=0, group=1)


def emulator():
    return Emulator(CONFIG, np.zeros(4096, np.uint8), (0, 1024, 2048, 3072))


def load(**changes):
    fields = {"wait": 0, "signal": 0, "target": Target.ACTIVATION, "region": Region.INPUT, "width": 2}
    fields |= {"memory_address": 0, "beats": 4, "word_address": 0}
    return Load(**fields | changes)


def store(**changes):
    fields = {"wait": 0, "signal": 0, "region": Region.OUTPUT, "memory_address": 0, "beats": 4, "word_address": 0}
    return Store(**fields | changes)


def compute(**changes):
    fields = {f.name: NOWHERE if f.metadata.get("struct") is Position else 0 for f in fields_of(Compute) if f.init}
    fields |= dict.fromkeys(
        ["rows", "output_blocks", "output_rows", "output_groups", "window_rows", "window_columns"]
        + ["output_group_step", "residual_group_step", "kernel_rows", "kernel_columns", "input_blocks", "passes"],
        1,
    )
    fields |= {"source": MAP, "residual": MAP, "destination": Map(**vars(MAP) | {"address": 8})}
    fields |= {"columns": 2, "output_columns": 2, "group_step": GROUP, "word_step": BANK, "pixel_step": BANK}
    return Compute(**fields | changes)


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (load(word_address=31), r"activation words \[31, 33\) exceed the depth of 32"),
        (load(target=Target.WEIGHT, beats=16, word_address=7), r"weight words \[7, 9\) exceed the depth of 8"),
        (load(target=Target.PARAMETER, beats=4, word_address=2), r"parameter words \[2, 3\) exceed the depth of 2"),
        (load(target=3), "load target 3 does not exist"),
        (load(beats=3), "3 beats are not whole rows of 2"),
        (store(beats=5), "5 beats are not whole rows of 2"),
        (load(memory_address=4096), "memory .* does not exist"),
        (compute(operation=3), "operation 3 does not exist"),
        (compute(partial=1, output_rows=2), "carried on .* of one group"),
        (compute(continues=1, window_columns=2), "carried on .* of one group"),
        (compute(uniform=1, residual_passes=1, residual_blocks=1), "uniform weights have no residual"),
        (compute(operation=1, residual_passes=1, residual_blocks=1), "a maximum has no sums"),
        (compute(operation=1, partial=1), "a maximum has no sums"),
        (compute(parameter_address=2), r"parameter words \[2, 3\) exceed the depth of 2"),
        (compute(residual_passes=1, residual_blocks=1, residual=Map(**vars(MAP) | {"address": 50})), "address 50"),
        (compute(weight_address=8), r"weight words \[8, 9\) exceed the depth of 8"),
        (compute(destination=Map(**vars(MAP) | {"address": 32})), "activation address 32 exceeds"),
        (compute(source=Map(**vars(MAP) | {"address": 40})), "activation address 40 exceeds"),
    ],
)
def test_illegal_accesses_are_named(instruction, message):
    with pytest.raises(EmulationError, match=message):
        emulator().execute(instruction)


def test_an_accumulator_that_overflows_is_an_error():
    machine = emulator()
    machine.activations[:] = -128
    machine.weights[:] = -128  # 8 products of 2**14 need 18 bits and a sign
    with pytest.raises(EmulationError, match="an accumulator exceeds 18 bits"):
        machine.execute(compute())


def test_columns_outside_the_map_are_neither_read_nor_checked():
    machine = emulator()
    machine.activations[:] = 1
    machine.weights[0] = 1
    machine.greatest[:] = 127
    left = Position(phase=0, bank=1, group=-1)  # the first pixel lies one column left of the map
    machine.execute(compute(first=left))
    assert machine.activations[0, 8].tolist() == [0] * 8
    assert machine.activations[1, 8].tolist() == [8] * 8


def test_store_after_load_returns_the_same_bytes():
    machine = emulator()
    machine.memory[1024 : 1024 + 32] = np.arange(32)
    machine.execute(load())
    machine.execute(store())
    np.testing.assert_array_equal(machine.memory[2048 : 2048 + 32], np.arange(32))
