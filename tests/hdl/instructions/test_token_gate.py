"""TokenGate against a model that counts tokens."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from hdl.instructions.token_gate import IN_FLIGHT, TOKEN_BITS, TokenGate
from quantflow.config import Config
from quantflow.isa import INSTRUCTIONS, OPCODE_BITS, UNITS, Opcode, Unit, struct_bits
from sim.bench import run_bench
from tests.hdl.streams import reset

CONFIG = Config(pixels=3, lanes=4, port_bits=32, weight_bits=4)


class Model:
    """The unit's tokens and the signals of what it has accepted and not finished."""

    def __init__(self, unit):
        self.others = [other for other in Unit if other != unit]
        self.held = dict.fromkeys(self.others, 0)
        self.in_flight = []
        self.waiting = self.may_pass = False  # decided in the cycle before

    def lacks(self, wait):
        return any(wait >> other & 1 and not self.held[other] for other in self.others)

    def step(self, wait, signal, passed, tokens, done, offered=True):
        """What happens at a clock edge."""
        self.waiting = offered and self.lacks(wait)
        room = len(self.in_flight) < IN_FLIGHT
        self.may_pass = offered and not self.lacks(wait) and room and not passed
        for other in self.others:
            self.held[other] += (tokens >> other & 1) - (passed and wait >> other & 1)
        if done and self.in_flight:
            self.in_flight.pop(0)
        if passed:
            self.in_flight.append(signal)


def random_instruction(rng, unit):
    """(word, wait, signal); the own bit of `wait` may be set and has no meaning."""
    wait, signal = (rng.choice([0, rng.getrandbits(UNITS)]) for _ in range(2))
    bits = struct_bits(INSTRUCTIONS[Opcode[unit.name]], CONFIG)
    rest = rng.getrandbits(bits - OPCODE_BITS - 2 * UNITS)
    word = ((rest << UNITS | signal) << UNITS | wait) << OPCODE_BITS | Opcode[unit.name]
    return word, wait, signal


def check(dut, model, offer, accept, tokens, done):
    """Compare all outputs in a settled cycle; returns whether the instruction passes."""
    word, wait, signal = offer or (0, 0, 0)
    valid = model.may_pass
    assert int(dut.waiting.value) == model.waiting
    assert int(dut.gated__valid.value) == valid
    assert int(dut.instructions__ready.value) == (valid and accept)
    assert not valid or int(dut.gated__payload.value) == word
    assert int(dut.idle.value) == (not model.in_flight)
    assert int(dut.signal.value) == (model.in_flight[0] if done and model.in_flight else 0)
    model.step(wait, signal, valid and accept, tokens, done, bool(offer))
    return valid and accept


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def behaves_as_the_model(dut):
    unit = Unit[os.environ["UNIT"]]
    rng = random.Random(51)
    Clock(dut.clk, 10, unit="ns").start()
    passed = 0
    for token_rate, done_rate, accept_rate in ((0.2, 0.5, 0.7), (0.6, 0.05, 0.9), (0.9, 0.9, 1.0), (0.1, 0.5, 0.5)):
        await reset(dut, instructions__valid=0, gated__ready=0, tokens=0, done=0)
        model, offer = Model(unit), None
        for _ in range(500):
            await FallingEdge(dut.clk)
            offer = offer or (random_instruction(rng, unit) if rng.random() < 0.8 else None)
            accept, done = rng.random() < accept_rate, rng.random() < done_rate
            tokens = sum((rng.random() < token_rate) << u for u in Unit)
            dut.instructions__valid.value = bool(offer)
            dut.instructions__payload.value = offer[0] if offer else 0
            dut.gated__ready.value, dut.done.value, dut.tokens.value = accept, done, tokens
            await RisingEdge(dut.clk)
            if check(dut, model, offer, accept, tokens, done):
                passed, offer = passed + 1, None
    assert passed > 400


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def too_many_tokens_do_not_wrap(dut):
    Clock(dut.clk, 10, unit="ns").start()
    every = (1 << UNITS) - 1
    await reset(dut, instructions__valid=0, gated__ready=0, tokens=every, done=0)
    dut.instructions__payload.value = every << OPCODE_BITS
    dut.instructions__valid.value = 1
    await ClockCycles(dut.clk, (1 << TOKEN_BITS) - 8)
    for _ in range(16):  # around the cycle in which a wrapping count would be 0
        await RisingEdge(dut.clk)
        assert int(dut.gated__valid.value) and not int(dut.waiting.value)


@pytest.mark.parametrize("unit", [Unit.LOAD, Unit.COMPUTE])
def test_token_gate(unit, tmp_path):
    run_bench(TokenGate(CONFIG, unit), __name__, tmp_path, environment={"UNIT": unit.name})


def test_model_worked_by_hand():
    model = Model(Unit.COMPUTE)
    assert model.lacks(1 << Unit.LOAD) and not model.lacks(1 << Unit.COMPUTE)
    model.step(0, 0, False, 1 << Unit.LOAD, False)
    assert not model.lacks(1 << Unit.LOAD)
    model.step(1 << Unit.LOAD, 4, True, 0, False)
    assert model.lacks(1 << Unit.LOAD) and model.in_flight == [4]
