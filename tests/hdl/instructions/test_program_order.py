"""ProgramOrder: one instruction at a time, offered to its unit alone and there until that is done."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.instructions.program_order import ProgramOrder
from quantflow.config import Config
from quantflow.isa import INSTRUCTIONS, OPCODE_BITS, Unit, instruction_bits, struct_bits
from sim.bench import run_bench
from tests.hdl.streams import reset, send

CONFIG = Config(pixels=3, lanes=4, port_bits=32, overlap=False)
UNITS = {opcode: Unit[opcode.name] for opcode in INSTRUCTIONS}


def random_word(rng):
    opcode = rng.choice([1, 2, 3, rng.randrange(1 << OPCODE_BITS)])
    return (rng.getrandbits(instruction_bits(CONFIG) - OPCODE_BITS) << OPCODE_BITS) | opcode


def opcode_of(word):
    return word & ((1 << OPCODE_BITS) - 1)


async def work(dut, rng, log):
    """The three units: each takes an instruction when it likes, and is done some cycles later."""
    running, left = None, 0
    while True:
        ready = {opcode: rng.random() < 0.5 for opcode in UNITS}
        for opcode in UNITS:
            getattr(dut, f"{opcode.name.lower()}__ready").value = ready[opcode]
        done = running is not None and left == 0
        dut.done.value = 1 << UNITS[running] if done else 0
        await RisingEdge(dut.clk)
        outputs = {opcode: getattr(dut, f"{opcode.name.lower()}__valid") for opcode in UNITS}
        offered = [opcode for opcode, valid in outputs.items() if int(valid.value)]
        if running is not None:
            assert not offered, "offered while one runs"
            assert payload(dut, running) == log[-1], "gone before it was done"
            running, left = (None, 0) if done else (running, left - 1)
        elif offered:
            (opcode,) = offered
            if ready[opcode]:
                log.append(payload(dut, opcode))
                running, left = opcode, rng.randrange(6)
        if int(dut.error_illegal.value):
            log.append(opcode_of(int(dut.instructions__payload.value)))


def payload(dut, opcode):
    return int(getattr(dut, f"{opcode.name.lower()}__payload").value)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def instructions_run_in_the_programs_order(dut):
    rng = random.Random(51)
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, instructions__valid=0, load__ready=0, compute__ready=0, store__ready=0, done=0)
    log = []
    cocotb.start_soon(work(dut, rng, log))
    words = [random_word(rng) for _ in range(300)]
    await send(dut, "instructions", words, rng, 0.2)
    bits = {opcode: struct_bits(type_, CONFIG) for opcode, type_ in INSTRUCTIONS.items()}
    # An illegal one leaves its opcode in the log, which no legal one is.
    assert log == [word & ((1 << bits.get(opcode_of(word), OPCODE_BITS)) - 1) for word in words]


def test_program_order(tmp_path):
    run_bench(ProgramOrder(CONFIG), __name__, tmp_path)
