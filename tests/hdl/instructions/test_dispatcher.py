"""Dispatcher: every instruction to its unit's queue, in order; illegal opcodes told."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.instructions.dispatcher import Dispatcher
from quantflow.config import Config
from quantflow.isa import INSTRUCTIONS, OPCODE_BITS, Opcode, instruction_bits, struct_bits
from sim.bench import run_bench
from tests.hdl.streams import collect, reset, send, until, until_holds

CONFIGS = {
    "shallow": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, queue_depth=1),
    "deep": Config(pixels=4, lanes=8, queue_depth=6),
}
QUEUES = {opcode: opcode.name.lower() for opcode in INSTRUCTIONS}


def random_word(rng, config, opcode):
    return (rng.getrandbits(instruction_bits(config) - OPCODE_BITS) << OPCODE_BITS) | opcode


def sort(words, config):
    """The words of each queue, cut to the instruction's own bits."""
    queues = {opcode: [] for opcode in INSTRUCTIONS}
    for word in words:
        opcode = word & ((1 << OPCODE_BITS) - 1)
        if opcode in queues:
            queues[opcode].append(word & ((1 << struct_bits(INSTRUCTIONS[opcode], config)) - 1))
    return queues


async def prepare(dut):
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, instructions__valid=0, load__ready=0, compute__ready=0, store__ready=0)


async def count_errors(dut, errors):
    while True:
        await RisingEdge(dut.clk)
        if int(dut.error_illegal.value):
            errors.append(int(dut.instructions__payload.value) & ((1 << OPCODE_BITS) - 1))


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def sorts_by_opcode(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(41)
    await prepare(dut)
    opcodes = [rng.choice([1, 1, 2, 2, 3, 3, rng.randrange(1 << OPCODE_BITS)]) for _ in range(300)]
    words = [random_word(rng, config, opcode) for opcode in opcodes]
    seen, errors = {opcode: [] for opcode in QUEUES}, []
    for opcode, name in QUEUES.items():
        cocotb.start_soon(collect(dut, name, seen[opcode], rng, rng.choice([0.2, 0.7])))
    cocotb.start_soon(count_errors(dut, errors))
    assert int(dut.idle.value)
    await send(dut, "instructions", words, rng, 0.2)
    await RisingEdge(dut.clk)
    await until(dut, lambda: int(dut.idle.value))
    assert seen == sort(words, config)
    assert errors == [opcode for opcode in opcodes if opcode not in INSTRUCTIONS]


@cocotb.test(timeout_time=500, timeout_unit="us")
async def holds_queue_depth_instructions_per_unit(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(42)
    await prepare(dut)
    for opcode in INSTRUCTIONS:
        words = [random_word(rng, config, opcode) for _ in range(config.queue_depth)]
        await send(dut, "instructions", words, rng, 0)
    await RisingEdge(dut.clk)
    for name in QUEUES.values():
        assert int(getattr(dut, name + "__valid").value)
    dut.instructions__payload.value = random_word(rng, config, Opcode.LOAD)
    dut.instructions__valid.value = 1
    await ClockCycles(dut.clk, 3)
    assert not int(dut.instructions__ready.value) and not int(dut.idle.value)
    seen = []
    cocotb.start_soon(collect(dut, "load", seen, rng, 0))
    await until_holds(dut, seen, config.queue_depth + 1)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def a_reset_empties_the_queues(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(43)
    await prepare(dut)
    dut.instructions__payload.value = random_word(rng, config, Opcode.STORE)
    dut.instructions__valid.value = 1
    await RisingEdge(dut.clk)
    assert not int(dut.idle.value), "idle while an instruction is offered"
    dut.instructions__valid.value = 0
    await RisingEdge(dut.clk)
    assert not int(dut.idle.value)
    await reset(dut)
    assert int(dut.idle.value) and not int(dut.store__valid.value)


@pytest.mark.parametrize("name", CONFIGS)
def test_dispatcher(name, tmp_path):
    run_bench(Dispatcher(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
