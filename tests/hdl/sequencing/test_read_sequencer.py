"""ReadSequencer against the loop nest of isa.Compute, one random instruction behind the other."""

import itertools
import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.layouts import struct_layout
from hdl.sequencing.read_sequencer import ReadSequencer, step_layout
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.random_compute import DEPTHS, RandomCompute

CONFIGS = {
    "P=3": Config(pixels=3, lanes=2, port_bits=32, **DEPTHS),
    "one phase": Config(pixels=1, lanes=2, port_bits=32, phase_bits=0, **DEPTHS),
    "one phase, no residuals": Config(pixels=1, lanes=2, port_bits=32, phase_bits=0, residuals=False, **DEPTHS),
}
CONFIG = CONFIGS[os.environ.get("CONFIG", "P=3")]
BOUNDARY, SWITCH, INSTRUCTIONS = 5, 8, 60


def column_of(position, phases):
    return position.phase + phases * (position.bank + CONFIG.pixels * position.group)


def operands(i):
    """What each step's operand says, in order."""
    words = 1 << CONFIG.activation_address_bits
    loops = (i.output_blocks, i.output_rows, i.output_groups, i.window_rows, i.window_columns)
    kernel = (i.passes, i.kernel_rows, i.kernel_columns, i.input_blocks)
    steps = i.residual_passes * i.residual_blocks + np.prod(kernel)
    maximum = i.operation == isa.Operation.MAXIMUM
    group_columns, residual_columns = CONFIG.pixels * i.source.phases, CONFIG.pixels * i.residual.phases
    for group, (ob, oy, og, wy, wx) in enumerate(itertools.product(*map(range, loops))):
        number = 0
        for n, c in itertools.product(range(i.residual_passes), range(i.residual_blocks)):
            address = i.residual.address + ob * i.residual_output_block_stride
            yield {
                "first": number == 0 and not i.continues,
                "shift": n > 0 and c == 0,
                "last": False,
                "initial": False,
                "unsigned": i.residual_unsigned,
                "maximum": False,
                "residual": True,
                "row_address": (address + oy * i.residual.row_stride + c * i.residual.block_stride) % words,
                "column": column_of(i.residual_first, i.residual.phases)
                + og * i.residual_group_step * residual_columns,
                "columns_left": i.output_columns - og * CONFIG.pixels,
                "weight_address": i.weight_address + ob * steps + number,
            }
            number += 1
        for n, ky, kx, c in itertools.product(*map(range, kernel)):
            address = i.source.address + ob * i.output_block_stride + oy * i.output_row_stride
            address += wy * i.window_row_stride + ky * i.kernel_row_stride + c * i.source.block_stride
            column = column_of(i.first, i.source.phases) + kx * column_of(i.kernel_column_step, i.source.phases)
            column += (og * i.output_group_step + wx * i.window_group_step) * group_columns
            last = number == steps - 1 and not i.partial
            further = n > 0 or (i.residual_passes and not i.residual_aligned)
            yield {
                "first": number == 0 and not i.continues,
                "shift": bool(further and ky == kx == c == 0),
                "last": last,
                "initial": last and group == 0,
                "unsigned": i.source_unsigned,
                "maximum": maximum,
                "residual": False,
                "row": i.first_row + oy * i.output_row_step + wy * i.window_row_step + ky * i.kernel_row_step,
                "row_address": address % words,
                "column": column + wx * i.window_phase_step,
            } | ({} if maximum else {"weight_address": i.weight_address + (n if i.uniform else ob * steps + number)})
            number += 1


def seen(word, i):
    """The operand in the terms of `operands`."""
    operand = step_layout(CONFIG).from_bits(word)
    fields = {name: operand[name] for name in ("residual", "row", "row_address", "columns_left", "weight_address")}
    phases = i.residual.phases if operand.residual else i.source.phases
    assert operand.position.phase < phases and operand.position.bank < CONFIG.pixels
    marks = {name: bool(operand.marks[name]) for name in ("first", "shift", "last", "initial", "unsigned", "maximum")}
    return fields | marks | {"column": column_of(operand.position, phases)}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def steps_follow_the_loops(dut):
    Clock(dut.clk, 10, unit="ns").start()
    rng = np.random.default_rng(1)
    random = RandomCompute(CONFIG, rng)
    dut.rst.value, dut.start.value = 1, 0
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    for number in range(INSTRUCTIONS):
        flags = {"partial": int(rng.integers(2)), "continues": int(rng.integers(2))} if number % 4 == 0 else {}
        instruction = random.make(carried=bool(flags), wide=number % 4 == 1, **flags)
        dut.instruction.value, dut.start.value = isa.encode(instruction, CONFIG), 1
        expected, final = list(operands(instruction)), False
        while True:
            await RisingEdge(dut.clk)
            dut.start.value = 0
            word = dut.operand.value.to_unsigned()
            if step_layout(CONFIG).from_bits(word).marks.valid:
                found = seen(word, instruction)
                for name, value in expected.pop(0).items():
                    assert found[name] == value, f"{name} is {found[name]}, not {value}, in {instruction}"
            if final:
                break
            final = bool(int(dut.ending.value))
        assert not expected
        for _ in range(rng.integers(0, 3)):
            await RisingEdge(dut.clk)


@pytest.mark.parametrize("name", CONFIGS)
def test_read_sequencer(name, tmp_path):
    config = CONFIGS[name]
    assert struct_layout(isa.Compute, config).size == isa.struct_bits(isa.Compute, config)
    sequencer = ReadSequencer(config, boundary_cycles=BOUNDARY, switch_cycles=SWITCH)
    run_bench(sequencer, __name__, tmp_path, environment={"CONFIG": name})
