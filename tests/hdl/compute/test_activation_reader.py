"""ActivationReader on a modelled scratchpad: addresses, masks and rotation of random steps."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.compute.activation_reader import ActivationReader
from hdl.sequencing.read_address import ReadAddress
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.nests import mask
from tests.hdl.pipelines import from_port, to_port
from tests.hdl.random_compute import RandomCompute

CONFIGS = {
    "P=3": Config(pixels=3, lanes=2, port_bits=32, activation_bits=16, activation_depth=100),
    "one phase": Config(pixels=1, lanes=2, port_bits=32, activation_bits=16, activation_depth=100, phase_bits=0),
}
CONFIG = CONFIGS[os.environ.get("CONFIG", "P=3")]
STEPS, MAPS = 200, 6
MARKS = ("valid", "first", "shift", "last", "initial", "unsigned", "maximum")  # as in marks_layout
ADDRESSES = ReadAddress.latency + 1  # to the addresses' range check, and to the weight's address


class Step:
    """Operands of one cycle, which may lie anywhere."""

    def __init__(self, rng, instruction):
        self.marks = dict(zip(MARKS, (int(bit) for bit in rng.integers(0, 2, len(MARKS))), strict=True))
        self.residual = int(rng.integers(2))
        self.row = int(rng.integers(-3, 8))
        self.row_address = int(rng.integers(0, 1 << CONFIG.activation_address_bits))
        self.phase, self.bank = int(rng.integers(instruction.source.phases)), int(rng.integers(CONFIG.pixels))
        if self.residual:
            self.phase = instruction.residual_first.phase
        self.group, self.columns_left = int(rng.integers(-2, 3)), int(rng.integers(-2, 5))
        self.weight_address = int(rng.integers(0, 1 << CONFIG.weight_address_bits))

    def port(self):
        """As `step_layout` lies in bits."""
        parts = (
            *((self.marks[name], 1) for name in MARKS),
            (self.residual, 1),
            (self.row, CONFIG.extent_bits + 2),
            (self.row_address, CONFIG.activation_address_bits),
            (self.phase, CONFIG.phase_bits),
            (self.bank, CONFIG.bank_bits),
            (self.group, CONFIG.extent_bits + 2),
            (self.columns_left, CONFIG.extent_bits + 2),
            (self.weight_address, CONFIG.weight_address_bits),
        )
        word, offset = 0, 0
        for value, bits in parts:
            word |= (value & ((1 << bits) - 1)) << offset
            offset += bits
        return word

    def exists(self, instruction, unit, pixel):
        if self.residual:
            return pixel < self.columns_left
        columns = instruction.columns + (self.phase < instruction.columns_remainder)
        return 0 <= self.row < instruction.rows and 0 <= unit < columns

    def expected(self, instruction, memory):
        """Each pixel's operands, which pixels exist, and whether one of these has no address."""
        words, inside, beyond = np.zeros((CONFIG.pixels, CONFIG.lanes), int), [], False
        map_ = instruction.residual if self.residual else instruction.source
        for pixel in range(CONFIG.pixels):
            unit = CONFIG.pixels * self.group + self.bank + pixel
            inside.append(int(self.exists(instruction, unit, pixel)))
            address = self.row_address + self.phase * map_.phase_stride + unit // CONFIG.pixels
            address %= 1 << CONFIG.activation_address_bits
            if inside[-1] and address < CONFIG.activation_depth:
                words[pixel] = memory[unit % CONFIG.pixels, address]
            beyond |= bool(inside[-1] and address >= CONFIG.activation_depth)
        return words % (1 << CONFIG.activation_bits) if self.marks["unsigned"] else words, inside, beyond


async def answer_reads(dut, memory):
    """The scratchpad: words of the addresses of the cycle before, zeros beyond its end."""
    while True:
        await RisingEdge(dut.clk)
        enabled = int(dut.read_enable.value)
        addresses = from_port(
            int(dut.read_addresses.value), CONFIG.activation_address_bits, (CONFIG.pixels,), signed=False
        )
        words = [
            memory[bank, address] if address < CONFIG.activation_depth else [0] * CONFIG.lanes
            for bank, address in enumerate(addresses)
        ]
        dut.read_data.value = to_port(np.array(words), CONFIG.activation_bits) if enabled else 0


async def outputs_of(dut, instruction, steps):
    """Apply one step per cycle; what the outputs show in each cycle."""
    dut.instruction.value = isa.encode(instruction, CONFIG)
    dut.operand.value = 0
    await RisingEdge(dut.clk)  # before the first operand
    names = ("marks", "inside", "error_address", "weight_address", "activations")
    recorded = []
    for port in [step.port() for step in steps] + [0] * (ActivationReader.latency + 1):
        dut.operand.value = port
        await RisingEdge(dut.clk)
        recorded.append({name: int(getattr(dut, name).value) for name in names})
    return recorded


@cocotb.test(timeout_time=200, timeout_unit="us")
async def steps_get_their_words(dut):
    Clock(dut.clk, 10, unit="ns").start()
    rng = np.random.default_rng(1)
    memory = rng.integers(-(1 << 15), 1 << 15, (CONFIG.pixels, CONFIG.activation_depth, CONFIG.lanes))
    dut.rst.value, dut.operand.value = 1, 0
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    cocotb.start_soon(answer_reads(dut, memory))
    latency, errors = ActivationReader.latency, 0
    for _ in range(MAPS):
        instruction = RandomCompute(CONFIG, rng).make()
        steps = [Step(rng, instruction) for _ in range(STEPS)]
        recorded = await outputs_of(dut, instruction, steps)
        for number, step in enumerate(steps):
            words, inside, beyond = step.expected(instruction, memory)
            now = recorded[number + latency]
            assert now["marks"] == mask(step.marks[name] for name in MARKS)
            assert recorded[number + ADDRESSES]["error_address"] == (step.marks["valid"] and beyond)
            assert recorded[number + ADDRESSES]["weight_address"] == step.weight_address
            errors += step.marks["valid"] and beyond
            if step.marks["valid"]:
                assert now["inside"] == mask(inside)
                found = from_port(now["activations"], CONFIG.operand_bits, words.shape)
                np.testing.assert_array_equal(found, words)
    assert 0 < errors < MAPS * STEPS / 2


@pytest.mark.parametrize("name", CONFIGS)
def test_activation_reader(name, tmp_path):
    run_bench(ActivationReader(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
