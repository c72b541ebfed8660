"""ComputeUnit on its three scratchpads: random instructions against the emulator, word by word."""

import json
import os
from dataclasses import asdict, replace
from types import SimpleNamespace

import cocotb
import numpy as np
import pytest
from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.compute.compute_unit import ComputeUnit
from hdl.compute.instruction_check import GROUP_LOOPS
from hdl.scratchpad.activation_scratchpad import ActivationScratchpad
from hdl.scratchpad.word_scratchpad import parameter_scratchpad, weight_scratchpad
from quantflow import isa
from quantflow.compiler.instructions import NOWHERE
from quantflow.config import Config
from quantflow.emulator import Emulator
from quantflow.packing import parameter_records
from sim.bench import run_bench
from tests.hdl.random_compute import DEPTHS, HALF, ONE_STEP, RandomCompute, done_times, fill, groups_of, steps_of

SEQUENCES, LENGTH, READ_INSTRUCTIONS = 6, 20, 4
IDLE_INPUTS = ("instructions__valid", "load_write__valid", "store_read__valid", "rows__ready")
IDLE_INPUTS += ("weight_write", "parameter_write")
ERRORS = ("error_illegal", "error_address", "error_weight_address")
OUTSIDE = ("instructions", "done", "busy", "step", *ERRORS)
FACTS = ("start_cycles", "overlap_cycles", "wait_cycles", "done_cycles")
FACTS += ("boundary_cycles", "switch_cycles", "copy_cycles", "overhead_cycles")


class ComputeBench(wiring.Component):
    """The compute unit between the scratchpads, whose other sides are ports."""

    def __init__(self, config):
        self.config = config
        self._unit, self._activations = ComputeUnit(config), ActivationScratchpad(config)
        self._weights, self._parameters = weight_scratchpad(config), parameter_scratchpad(config)
        scratchpad = self._activations.signature.members
        super().__init__({
            **{name: self._unit.signature.members[name] for name in OUTSIDE},
            "writing": Out(1),
            **{name: scratchpad[name] for name in ("load_write", "store_read", "rows")},
            "weight_write": In(self._weights.write.shape()),
            "parameter_write": In(self._parameters.write.shape()),
        })

    @property
    def facts(self):
        return {name: getattr(self._unit, name) for name in FACTS}

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit, m.submodules.activations = unit, activations = self._unit, self._activations
        m.submodules.weights, m.submodules.parameters = weights, parameters = self._weights, self._parameters
        wiring.connect(m, wiring.flipped(self.instructions), unit.instructions)
        wiring.connect(m, wiring.flipped(self.load_write), activations.load_write)
        wiring.connect(m, wiring.flipped(self.store_read), activations.store_read)
        wiring.connect(m, activations.rows, wiring.flipped(self.rows))
        m.d.comb += [getattr(self, name).eq(getattr(unit, name)) for name in OUTSIDE[1:]]
        m.d.comb += [
            activations.read_enable.eq(unit.read_enable),
            activations.read_addresses.eq(unit.read_addresses),
            unit.read_data.eq(activations.read_data),
            activations.writes.eq(unit.writes),
            self.writing.eq(Cat(write.enable for write in unit.writes).any()),
            weights.write.eq(self.weight_write),
            weights.read_address.eq(unit.weight_address),
            unit.weight_data.eq(weights.read_data),
            parameters.write.eq(self.parameter_write),
            parameters.read_address.eq(unit.parameter_address),
            unit.parameter_data.eq(parameters.read_data),
        ]
        return m


def pack(values, bits):
    """Integers, the first lowest, in one word."""
    return sum((int(value) & ((1 << bits) - 1)) << (bits * index) for index, value in enumerate(values))


def unpack(word, bits, count):
    fields = [(word >> (bits * index)) & ((1 << bits) - 1) for index in range(count)]
    return [value - (1 << bits) if value >> (bits - 1) else value for value in fields]


class Driver:
    """The bench, and an emulator that is kept in the same state."""

    def __init__(self, dut, config, seed):
        self.dut, self.config = dut, config
        self.rng = np.random.default_rng(seed)
        self.facts = SimpleNamespace(**json.loads(os.environ["FACTS"]))
        self.emulator = Emulator(config, np.zeros(0, np.uint8), (0, 0, 0, 0))

    async def reset(self):
        dut = self.dut
        for name in IDLE_INPUTS:
            getattr(dut, name).value = 0
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)

    async def fill(self):
        """Random contents in all scratchpads."""
        config, emulator = self.config, self.emulator
        fill(emulator, self.rng)
        self.dut.load_write__valid.value = 1
        for address in range(config.activation_depth):
            row = pack(emulator.activations[:, address].flat, config.activation_bits)
            self.dut.load_write__payload.value = address | row << config.word_address_bits
            await RisingEdge(self.dut.clk)
            assert self.dut.load_write__ready.value == 1
        self.dut.load_write__valid.value = 0
        for address, word in enumerate(emulator.weights):
            await self._write("weight_write", config.weight_address_bits, address, pack(word.flat, config.weight_bits))
        for address, records in enumerate(parameter_records(emulator.bias, emulator.shift, emulator.greatest, config)):
            word = pack(records.flat, 1)
            await self._write("parameter_write", config.parameter_address_bits, address, word)

    async def _write(self, port, address_bits, address, word):
        getattr(self.dut, port).value = 1 | address << 1 | word << (1 + address_bits)
        await RisingEdge(self.dut.clk)
        getattr(self.dut, port).value = 0

    async def run(self, instructions, *, stall=0.0):
        """Cycles from the first transfer to each `done` and to the last word written, and the number of steps.

        An instruction is offered, after random `stall`s, as soon as the one before is taken.
        """
        dut, left, offered = self.dut, list(instructions), False
        cycle, times, written, steps = None, [], None, 0
        while len(times) < len(instructions):
            if not offered and left and self.rng.random() >= stall:
                dut.instructions__payload.value = isa.encode(left.pop(0), self.config)
                offered = True
            dut.instructions__valid.value = int(offered)
            await RisingEdge(dut.clk)
            cycle = cycle if cycle is None else cycle + 1
            if offered and int(dut.instructions__ready.value):
                cycle, offered = cycle or 0, False
            steps += int(dut.step.value)
            written = cycle if int(dut.writing.value) else written
            faults = [name for name in ERRORS if int(getattr(dut, name).value)]
            assert not faults, f"{faults} in {instructions}"
            assert cycle is None or cycle < 100_000, instructions
            if int(dut.done.value):
                times.append(cycle)
                assert int(dut.busy.value)
        return times, written, steps

    async def read(self, address):
        """The words [P, lanes] of a row of the activation scratchpad."""
        dut, config = self.dut, self.config
        dut.store_read__payload.value = address
        dut.store_read__valid.value = dut.rows__ready.value = 1
        await RisingEdge(dut.clk)
        while not int(dut.store_read__ready.value):
            await RisingEdge(dut.clk)
        dut.store_read__valid.value = 0
        await RisingEdge(dut.clk)
        assert int(dut.rows__valid.value)
        words = unpack(dut.rows__payload.value.to_unsigned(), config.activation_bits, config.pixels * config.lanes)
        return np.reshape(words, (config.pixels, config.lanes))

    async def compare(self, about):
        """The whole activation scratchpad against the emulator."""
        expected = self.emulator.activations
        found = np.stack([await self.read(address) for address in range(expected.shape[1])], axis=1)
        for place in np.ndindex(expected.shape[:2]):
            assert (found[place] == expected[place]).all(), (
                f"bank, address {place}: {found[place]}, not {expected[place]}, after {about}"
            )


async def started(dut, seed):
    Clock(dut.clk, 10, unit="ns").start()
    driver = Driver(dut, Config(**json.loads(os.environ["CONFIG"])), seed)
    await driver.reset()
    await driver.fill()
    return driver


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def instructions_do_what_the_emulator_does(dut):
    driver = await started(dut, 1)
    for number in range(SEQUENCES):
        source = int(driver.rng.integers(2)) * HALF
        instructions = RandomCompute(driver.config, driver.rng, source=source).sequence(driver.emulator, LENGTH)
        stall = 0.9 if number % 3 == 2 else 0.0
        times, written, steps = await driver.run(instructions, stall=stall)
        assert stall or times == done_times(instructions, driver.config, driver.facts), instructions
        assert steps == sum(groups_of(instruction) * steps_of(instruction) for instruction in instructions)
        assert written < times[-1]
        await driver.compare(instructions)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def an_instruction_is_done_when_the_next_may_read(dut):
    driver = await started(dut, 4)
    for operation in isa.Operation:
        first, second = producer_and_consumer(driver, operation)
        times, written, _ = await driver.run([first])
        latest = operation == isa.Operation.CONVOLVE  # of the operations, the one with the longer pipeline
        assert (written == times[0] - 1) if latest else (written < times[0])
        await driver.run([second])
        await driver.compare([first, second])
        await driver.fill()
        for instruction in (first, second):
            driver.emulator.execute(instruction)
        times, _, _ = await driver.run([first, second])
        assert times == done_times([first, second], driver.config, driver.facts)
        await driver.compare([first, second])


def can_be_written(instruction, config):
    """Whether the machine has bits for all that the instruction says."""
    try:
        return isa.encode(instruction, config) > 0
    except ValueError:
        return False


def producer_and_consumer(driver, operation):
    """Two instructions of one group; the second one reads with its first step what the first one writes."""
    config = driver.config
    one = ONE_STEP | {"output_columns": config.pixels}
    first = RandomCompute(config, driver.rng).make(**one, first_written=NOWHERE, uniform=0, operation=operation)
    first = replace(first, destination=replace(first.destination, phases=1))
    steps = {"word_step": config.drain_cycles, "pixel_step": 1}
    steps = {name: isa.Position(phase=0, bank=n % config.pixels, group=n // config.pixels) for name, n in steps.items()}
    if config.several_pixels:
        first = replace(first, **steps)
    second = RandomCompute(config, driver.rng, source=HALF).make(**one, uniform=0, operation=isa.Operation.CONVOLVE)
    size = {"rows": 1, "columns": config.pixels, "columns_remainder": 0, "first_row": 0, "first": NOWHERE}
    second = replace(second, source=first.destination, **size)
    for instruction in (first, second):
        driver.emulator.execute(instruction)
    return first, second


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reader_costs_nothing(dut):
    """Rows are read in the cycles in which their banks are not written; the compute unit does not notice."""
    driver = await started(dut, 2)
    for _ in range(READ_INSTRUCTIONS):
        before = driver.emulator.activations.copy()
        instruction = RandomCompute(driver.config, driver.rng).performed(driver.emulator)
        unchanged = (before == driver.emulator.activations).all(axis=2)  # [P, depth]
        running = cocotb.start_soon(driver.run([instruction]))
        while not running.done():
            address = int(driver.rng.integers(driver.config.activation_depth))
            words = await driver.read(address)
            still = unchanged[:, address]
            assert (words[still] == before[still, address]).all()
        (cycles,), _, _ = await running
        assert cycles == done_times([instruction], driver.config, driver.facts)[0]
        await driver.compare(instruction)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def faults_are_reported_and_reset_clears_them(dut):
    driver = await started(dut, 3)
    config, random = driver.config, RandomCompute(driver.config, driver.rng)
    fields = {"operation": isa.Operation.CONVOLVE, "uniform": 0, "output_rows": 2, "residual_passes": 0}
    good = random.make(wide=True, **fields)
    group = {name: 1 for name in GROUP_LOOPS}
    beyond = config.activation_depth
    faults = [
        (replace(good, operation=3), "error_illegal"),
        (replace(good, partial=1), "error_illegal"),
        (replace(good, continues=1), "error_illegal"),
        (replace(good, uniform=1, residual_passes=1, residual_blocks=1), "error_illegal"),
        *(
            (replace(good, **group, operation=isa.Operation.MAXIMUM, **{name: 1}), "error_illegal")
            for name in ("partial", "continues", "residual_passes")
        ),
        (replace(good, first_row=0, first=NOWHERE, source=replace(good.source, address=beyond)), "error_address"),
        (replace(good, residual_passes=1, residual=replace(good.residual, address=beyond)), "error_address"),
        (replace(good, destination=replace(good.destination, address=beyond)), "error_address"),
        (replace(good, weight_address=config.weight_depth), "error_weight_address"),
        (replace(good, parameter_address=config.parameter_depth), "error_weight_address"),
    ]
    if config.requantizers > 1:
        together = replace(good, output_columns=config.pixels, word_step=NOWHERE)
        faults.append((together, "error_illegal"))
    faults = [(instruction, error) for instruction, error in faults if can_be_written(instruction, config)]
    longest = done_times([good], config, driver.facts)[0] * 2
    for instruction, error in faults:
        dut.instructions__payload.value = isa.encode(instruction, config)
        dut.instructions__valid.value = 1
        seen = set()
        for _ in range(longest):
            await RisingEdge(dut.clk)
            dut.instructions__valid.value = int(dut.instructions__valid.value) & ~int(dut.instructions__ready.value)
            seen |= {name for name in ERRORS if int(getattr(dut, name).value)}
        assert seen == {error}, instruction
        await driver.reset()
    # The faulty ones wrote here and there; what a clean start writes is the emulator's again.
    await driver.fill()
    good = [random.performed(driver.emulator) for _ in range(3)]
    await driver.run(good)
    await driver.compare(good)


GRID = [
    {"pixels": 7, "lanes": 4, "requantizers": 2},
    {"pixels": 3, "lanes": 8, "requantizers": 3, "products_per_dsp": 2},
    {"pixels": 1, "lanes": 4, "weight_bits": 4, "accumulator_bits": 32},
    {"pixels": 1, "lanes": 4, "phase_bits": 0},
    {"pixels": 1, "lanes": 2, "phase_bits": 0, "residuals": False},
    {"pixels": 2, "lanes": 2, "activation_bits": 16, "weight_bits": 4},
]


@pytest.mark.parametrize("parameters", GRID, ids=lambda parameters: "-".join(map(str, parameters.values())))
def test_compute_unit(parameters, tmp_path):
    config = Config(**{"port_bits": 32, "accumulator_bits": 48, **DEPTHS, **parameters})
    bench = ComputeBench(config)
    environment = {"CONFIG": json.dumps(asdict(config)), "FACTS": json.dumps(bench.facts)}
    run_bench(bench, __name__, tmp_path, environment=environment)
