"""WriteInstruction against a queue of two places: which instruction the write side sees, and when."""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.compute.write_instruction import WriteInstruction
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.random_compute import RandomCompute

CONFIG = Config(pixels=2, lanes=4, port_bits=32)
INSTRUCTIONS = 80


@cocotb.test(timeout_time=200, timeout_unit="us")
async def instructions_arrive_in_order(dut):
    Clock(dut.clk, 10, unit="ns").start()
    rng = np.random.default_rng(1)
    random = RandomCompute(CONFIG, rng)
    dut.rst.value, dut.begin.value, dut.drain.value = 1, 0, 0
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    left = [random.make(carried=rng.random() < 0.3, partial=int(rng.random() < 0.3)) for _ in range(INSTRUCTIONS)]
    waiting, expected, pause, may_begin = [], None, 0, True  # waiting: (instruction, cycle of its `begin`)
    cycle = starts = held = 0
    while left or waiting:
        cycle += 1
        begin = bool(left) and may_begin and rng.random() < 0.4
        dut.begin.value = int(begin)
        if begin:
            instruction = left.pop(0)
            dut.reading.value = isa.encode(instruction, CONFIG)
            if not instruction.partial:
                waiting.append((instruction, cycle))
        pause = max(0, pause - 1)
        drain = bool(waiting) and not pause and cycle >= waiting[0][1] + 2 and rng.random() < 0.3
        dut.drain.value = int(drain)
        await RisingEdge(dut.clk)
        assert bool(int(dut.start.value)) == (expected is not None)
        if expected is not None:
            assert dut.writing.value.to_unsigned() == isa.encode(expected, CONFIG)
            starts += 1
        # The one that waits to be drained has its copy; a second one is not copied before that is free.
        free = len(waiting) < 2 and not (begin and not instruction.partial)
        copied = bool(int(dut.copied.value))
        assert copied or not free
        held += not copied and not begin
        may_begin = copied
        expected = waiting.pop(0)[0] if drain else None
        pause = 2 if drain else pause
    assert starts and held


def test_write_instruction(tmp_path):
    run_bench(WriteInstruction(CONFIG), __name__, tmp_path)
