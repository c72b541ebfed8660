"""LoadUnit against isa.Load's docstring, with memory and scratchpad stalling at random."""

import os
import random
from dataclasses import replace

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.layouts import row_write
from hdl.transfer.load_unit import LoadUnit
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.rows import beats_to_words, resize
from tests.hdl.streams import collect, reset, send, until

CONFIGS = {
    "four_bit": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, parameter_depth=20),
    "six_bit": Config(pixels=2, lanes=8, port_bits=32, activation_bits=6, weight_bits=6, weight_depth=100),
    # A beat holds two activation words, three rows in two beats' time, a weight word of the narrowest width.
    "wide": Config(pixels=3, lanes=4, port_bits=64, weight_depth=64),
    "two_ports": Config(pixels=7, lanes=16, port_bits=128, ports=2, weight_depth=40),
    "four_ports": Config(pixels=1, lanes=4, port_bits=32, ports=4, activation_bits=16, weight_bits=16),
    "two_lanes": Config(pixels=5, lanes=2, port_bits=32, weight_bits=4),
}
BASES = (0x1000_0000, 0xFFFF_0000, 0x0400, 0x2000_0000)
LATENCY = 12  # of the memory, cycles


def memory_beat(address, config):
    """What memory holds at a byte address."""
    return random.Random(address % 2**32).getrandbits(config.beat_bits)


def memory_beats(load, config):
    base = (BASES[load.region] + load.memory_address) % 2**32
    return [memory_beat(base + n * config.beat_bytes, config) for n in range(load.beats)]


def word_beats(target, width, config):
    """Beats of a word, or row, of `target`."""
    beats = {
        isa.Target.ACTIVATION: config.bank_row_beats,
        isa.Target.WEIGHT: config.weight_word_beats(2 << width),
        isa.Target.PARAMETER: config.parameter_word_beats,
    }
    return beats[target]


def width_code(config, index=0):
    return config.weight_widths[index].bit_length() - 2


def make_load(config, target, words, **fields):
    """A load of `words` words, or rows."""
    settings = dict(wait=0, signal=0, region=0, width=width_code(config), memory_address=0, word_address=0) | fields
    beats = words * word_beats(target, settings["width"], config)
    return isa.Load(target=target, **{"beats": beats} | settings)


def depth_of(target, config):
    return (config.activation_depth, config.weight_depth, config.parameter_depth)[target]


def random_load(rng, config):
    target, words = rng.choice(list(isa.Target)), rng.randint(1, 6)
    fields = {"region": rng.randrange(4), "memory_address": rng.randrange(1000) * config.beat_bytes}
    width = width_code(config, rng.randrange(len(config.weight_widths)))
    address = rng.randint(0, depth_of(target, config) - words)
    return make_load(config, target, words, width=width, word_address=address, **fields)


def expected_writes(load, config):
    """[(target, address, data)] in order."""
    count = word_beats(load.target, load.width, config)
    words = beats_to_words(memory_beats(load, config), count, config.beat_bits)
    if load.target == isa.Target.ACTIVATION:
        sizes = config.pixels * config.lanes, config.activation_container_bits, config.activation_bits
        words = [resize(word, *sizes) for word in words]
    elif load.target == isa.Target.WEIGHT:
        words = [resize(word, config.lanes**2, 2 << load.width, config.weight_bits) for word in words]
    else:
        words = [word & ((1 << config.lanes * config.parameter_record_bits) - 1) for word in words]
    return [(load.target, load.word_address + n, word) for n, word in enumerate(words)]


class Bench:
    """Memory, scratchpads and a record of what happened."""

    def __init__(self, dut, config, rng, stall):
        self.dut, self.config, self.rng, self.stall = dut, config, rng, stall
        self.requests, self.rows = [], []
        self.writes, self.done_at, self.beats_at, self.errors, self.cycle = [], [], [], set(), 0

    async def start(self):
        clock = Clock(self.dut.clk, 10, unit="ns").start()
        bases = sum(base << (32 * n) for n, base in enumerate(BASES))
        idle = dict(instructions__valid=0, requests__ready=0, beats__valid=0, activation_write__ready=0)
        await reset(self.dut, bases=bases, **idle)
        parts = (
            collect(self.dut, "requests", self.requests, self.rng, self.stall),
            collect(self.dut, "activation_write", self.rows, self.rng, self.stall),
            self.watch(),
            self.answer(),
        )
        return [clock] + [cocotb.start_soon(part) for part in parts]

    async def watch(self):
        """Note each write, beat, done pulse and error."""
        dut, config, seen = self.dut, self.config, 0
        ports = (
            (isa.Target.WEIGHT, dut.weight_write, config.weight_address_bits),
            (isa.Target.PARAMETER, dut.parameter_write, config.parameter_address_bits),
        )
        address_bits = row_write(config)["data"].offset
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            if dut.beats__valid.value == 1 and dut.beats__ready.value == 1:
                self.beats_at.append(self.cycle)
            if dut.done.value == 1:
                self.done_at.append((self.cycle, len(self.writes)))
            for target, port, bits in ports:
                value = port.value.to_unsigned()
                if value & 1:
                    self.writes.append((target, (value >> 1) & ((1 << bits) - 1), value >> (1 + bits)))
            self.errors |= {n for n in ("illegal", "address_weight") if getattr(dut, f"error_{n}").value == 1}
            for value in self.rows[seen:]:
                fields = value & ((1 << address_bits) - 1), value >> address_bits
                self.writes.append((isa.Target.ACTIVATION, *fields))
            seen = len(self.rows)

    async def answer(self):
        """The beats of each request, LATENCY cycles after it, in order."""
        due, answered = [], 0
        dut, now = self.dut, 0
        while True:
            await RisingEdge(dut.clk)
            now += 1
            for request in self.requests[answered:]:
                address, beats = request & (2**32 - 1), request >> 32
                due += [(now + LATENCY, address + n * self.config.beat_bytes) for n in range(beats)]
            answered = len(self.requests)
            if dut.beats__valid.value == 1 and dut.beats__ready.value != 1:
                continue
            offered = bool(due and due[0][0] <= now and self.rng.random() >= self.stall)
            dut.beats__valid.value = offered
            if offered:
                dut.beats__payload.value = memory_beat(due.pop(0)[1], self.config)

    async def perform(self, loads):
        words = [isa.encode(load, self.config) for load in loads]
        await send(self.dut, "instructions", words, self.rng, self.stall)


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def performs_random_loads(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(31)
    bench = Bench(dut, config, rng, stall=0.4)
    await bench.start()
    loads = [random_load(rng, config) for _ in range(80)]
    await bench.perform(loads)
    await until(dut, lambda: len(bench.done_at) == len(loads), cycles=20000)
    await ClockCycles(dut.clk, 5)
    expected = []
    for load, (_, writes) in zip(loads, bench.done_at, strict=True):
        expected += expected_writes(load, config)
        assert writes == len(expected), f"done came after {writes} writes, not {len(expected)}: {load}"
    for n, (seen, wanted) in enumerate(zip(bench.writes, expected, strict=True)):
        assert seen == wanted, f"write {n} is {seen}, expected {wanted}"
    assert not bench.errors
    assert dut.busy.value == 0


@cocotb.test(timeout_time=200, timeout_unit="us")
async def sustains_a_beat_per_cycle(dut):
    """All targets and widths in turn, long loads and short ones: no cycle between two loads."""
    config = CONFIGS[os.environ["CONFIG"]]
    bench = Bench(dut, config, random.Random(32), stall=0)
    await bench.start()
    codes = [width_code(config, n) for n in range(len(config.weight_widths))]
    loads = [make_load(config, isa.Target.WEIGHT, words, width=code) for words in (10, 2) for code in codes]
    loads += [make_load(config, target, words) for words in (12, 2) for target in isa.Target]
    await bench.perform(loads)
    await until(dut, lambda: len(bench.done_at) == len(loads))
    beats = sum(load.beats for load in loads)
    # A single load of one or two beats ends before the next instruction is there.
    assert bench.beats_at[-1] - bench.beats_at[0] + 1 <= beats + sum(load.beats < 3 for load in loads)


def broken_loads(config):
    """{what is wrong: (load, the error)}"""
    activation, weight, parameter = isa.Target
    one = make_load(config, activation, 1)
    illegal_width = next(code for code in range(4) if 2 << code not in config.weight_widths)
    broken = {
        "target": (replace(one, target=3), "illegal"),
        "width": (replace(make_load(config, weight, 1), width=illegal_width), "illegal"),
        "no beats": (replace(one, beats=0), "illegal"),
        "past the weights": (make_load(config, weight, 3, word_address=config.weight_depth - 1), "address_weight"),
        "past the parameters": (
            make_load(config, parameter, 2, word_address=config.parameter_depth - 1),
            "address_weight",
        ),
    }
    for target in isa.Target:
        load = make_load(config, target, 2, width=width_code(config, -1))
        if word_beats(target, load.width, config) > 1:
            broken[f"part of a word of {target.name}"] = (replace(load, beats=load.beats - 1), "illegal")
    return broken


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reports_broken_loads(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    for what, (load, error) in broken_loads(config).items():
        bench = Bench(dut, config, random.Random(33), stall=0.2)
        running = await bench.start()
        running.append(cocotb.start_soon(bench.perform([load])))
        await until(dut, lambda bench=bench: bench.errors)
        assert bench.errors == {error}, f"{what}: {bench.errors}"
        depths = {isa.Target.WEIGHT: config.weight_depth, isa.Target.PARAMETER: config.parameter_depth}
        assert all(write[1] < depths.get(write[0], 2**32) for write in bench.writes), what
        for task in running:
            task.cancel()


@pytest.mark.parametrize("name", CONFIGS)
def test_load_unit(name, tmp_path):
    run_bench(LoadUnit(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
