"""ComputeControl: instructions begin in order, and only when they may; an illegal one stops it."""

from dataclasses import replace

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.compute.compute_control import ComputeControl
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.random_compute import RandomCompute
from tests.hdl.streams import reset, send

CONFIG = Config(pixels=2, lanes=4, port_bits=32)
INSTRUCTIONS = 60


@cocotb.test(timeout_time=300, timeout_unit="us")
async def instructions_begin_in_order(dut):
    Clock(dut.clk, 10, unit="ns").start()
    rng = np.random.default_rng(1)
    random = RandomCompute(CONFIG, rng)
    await reset(dut, instructions__valid=0, running=0, written=1, copied=1, done=0)
    instructions = [random.make(overlaps=int(rng.integers(2))) for _ in range(INSTRUCTIONS)]
    instructions.append(replace(instructions[0], operation=len(isa.Operation)))
    cocotb.start_soon(send(dut, "instructions", [isa.encode(one, CONFIG) for one in instructions], rng))
    begun, errors, steps, under_way, might = 0, 0, 0, 0, False
    for _ in range(3000):
        written, copied = int(rng.random() < 0.5), int(rng.random() < 0.7)
        done = int(under_way > 0 and rng.random() < 0.3)
        dut.written.value, dut.copied.value, dut.done.value, dut.running.value = written, copied, done, int(steps > 0)
        await RisingEdge(dut.clk)
        under_way -= done
        started = bool(int(dut.start.value))
        if started:
            assert might and dut.reading.value.to_unsigned() == isa.encode(instructions[begun], CONFIG)
            begun, under_way = begun + 1, under_way + 1
        errors += int(dut.error_illegal.value)
        # What the next cycle's start would follow from; `running` follows a start by one cycle.
        free = not steps and not started and copied
        might = free and begun < INSTRUCTIONS and bool(written or instructions[begun].overlaps)
        steps = int(rng.integers(1, 5)) if started else max(0, steps - 1)
    assert begun == INSTRUCTIONS and errors == 1 and not int(dut.instructions__ready.value)
    assert not int(dut.busy.value)


def test_compute_control(tmp_path):
    run_bench(ComputeControl(CONFIG), __name__, tmp_path)
