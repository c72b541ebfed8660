"""LoadUnit against isa.Load's loop nests, with memory and scratchpad stalling at random."""

import os
import random
from dataclasses import replace

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hdl.layouts import bank_write
from hdl.transfer.load_unit import LoadUnit
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.maps import places, random_map_fields, resize, words_of_map
from tests.hdl.streams import collect, reset, send, until

CONFIGS = {
    "four_bit": Config(pixels=3, lanes=4, port_bits=32, weight_bits=4, parameter_depth=20),
    "six_bit": Config(pixels=2, lanes=8, port_bits=32, activation_bits=6, weight_bits=6, weight_depth=100),
}
BASES = (0x1000_0000, 0xFFFF_F000, 0x0400)
LATENCY = 12  # of the memory, cycles


def memory_beat(address, config):
    """What memory holds at a byte address."""
    return random.Random(address % 2**32).getrandbits(config.port_bits)


def memory_beats(load, config):
    base = (BASES[load.region] + load.memory_address) % 2**32
    return [memory_beat(base + n * config.port_bytes, config) for n in range(load.beats)]


def words_of(beats, beats_per_word, config):
    for n in range(0, len(beats), beats_per_word):
        yield sum(beat << (k * config.port_bits) for k, beat in enumerate(beats[n : n + beats_per_word]))


def make_load(config, target, words, **fields):
    """A load of `words` words; a map has as many words as its extents say."""
    plain = dict(phases=1, address=0, row_stride=0, block_stride=0, phase_stride=0)
    settings = dict(wait=0, signal=0, region=0, width=0, memory_address=0, word_address=0)
    settings |= dict(map=isa.Map(**plain), rows=1, columns=1, blocks=1) | fields
    beats_per_word = {
        isa.Target.ACTIVATION: config.activation_word_beats,
        isa.Target.WEIGHT: config.weight_word_beats(2 << settings["width"]),
        isa.Target.PARAMETER: config.parameter_word_beats,
    }[target]
    return isa.Load(target=target, **{"beats": words * beats_per_word} | settings)


def random_load(rng, config):
    target = rng.choice(list(isa.Target))
    fields = {"region": rng.randrange(3), "memory_address": rng.randrange(1000) * config.port_bytes}
    if target == isa.Target.ACTIVATION:
        fields |= random_map_fields(rng, config)
        return make_load(config, target, words_of_map(fields), **fields)
    words = rng.randint(1, 6)
    depth = config.weight_depth if target == isa.Target.WEIGHT else config.parameter_depth
    width = rng.randrange(len(config.weight_widths))
    return make_load(config, target, words, width=width, word_address=rng.randint(0, depth - words), **fields)


def expected_writes(load, config):
    """[(target, bank or 0, address, data)] in order."""
    beats = memory_beats(load, config)
    if load.target == isa.Target.ACTIVATION:
        words = words_of(beats, config.activation_word_beats, config)
        sizes = config.lanes, config.activation_container_bits, config.activation_bits
        placed = zip(places(load, config), words, strict=True)
        return [(load.target, *place, resize(word, *sizes)) for place, word in placed]
    if load.target == isa.Target.WEIGHT:
        width = 2 << load.width
        words = words_of(beats, config.weight_word_beats(width), config)
        words = [resize(word, config.lanes**2, width, config.weight_bits) for word in words]
    else:
        mask = (1 << config.lanes * (config.accumulator_bits + config.shift_bits)) - 1
        words = [word & mask for word in words_of(beats, config.parameter_word_beats, config)]
    return [(load.target, 0, load.word_address + n, word) for n, word in enumerate(words)]


class Bench:
    """Memory, scratchpads and a record of what happened."""

    def __init__(self, dut, config, rng, stall):
        self.dut, self.config, self.rng, self.stall = dut, config, rng, stall
        self.requests, self.activations = [], []
        self.writes, self.done_at, self.errors, self.cycle = [], [], set(), 0

    async def start(self):
        clock = Clock(self.dut.clk, 10, unit="ns").start()
        bases = sum(base << (32 * n) for n, base in enumerate(BASES))
        idle = dict(instructions__valid=0, requests__ready=0, beats__valid=0, activation_write__ready=0)
        await reset(self.dut, bases=bases, **idle)
        parts = (
            collect(self.dut, "requests", self.requests, self.rng, self.stall),
            collect(self.dut, "activation_write", self.activations, self.rng, self.stall),
            self.watch(),
            self.answer(),
        )
        return [clock] + [cocotb.start_soon(part) for part in parts]

    async def watch(self):
        """Note each write, done pulse and error."""
        dut, seen = self.dut, 0
        weight_bits, parameter_bits = self.config.weight_address_bits, self.config.parameter_address_bits
        ports = (
            (isa.Target.WEIGHT, dut.weight_write, weight_bits),
            (isa.Target.PARAMETER, dut.parameter_write, parameter_bits),
        )
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            if dut.done.value == 1:
                self.done_at.append((self.cycle, len(self.writes)))
            for target, port, address_bits in ports:
                value = port.value.to_unsigned()
                if value & 1:
                    address = (value >> 1) & ((1 << address_bits) - 1)
                    self.writes.append((target, 0, address, value >> (1 + address_bits)))
            self.errors |= {n for n in ("illegal", "address_weight") if getattr(dut, f"error_{n}").value == 1}
            for value in self.activations[seen:]:
                layout = bank_write(self.config)
                fields = [
                    (value >> layout[name].offset) & ((1 << layout[name].width) - 1)
                    for name in ("bank", "address", "data")
                ]
                self.writes.append((isa.Target.ACTIVATION, *fields))
            seen = len(self.activations)

    async def answer(self):
        """The beats of each request, LATENCY cycles after it, in order."""
        answered = 0
        while True:
            await RisingEdge(self.dut.clk)
            if answered < len(self.requests):
                request = self.requests[answered]
                address, beats = request & (2**32 - 1), request >> 32
                answered += 1
                if answered == 1:
                    await ClockCycles(self.dut.clk, LATENCY)
                data = [memory_beat(address + n * self.config.port_bytes, self.config) for n in range(beats)]
                await send(self.dut, "beats", data, self.rng, self.stall)

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
    config = CONFIGS[os.environ["CONFIG"]]
    bench = Bench(dut, config, random.Random(32), stall=0)
    await bench.start()
    words = 10
    loads = [make_load(config, target, words, columns=words) for target in list(isa.Target) * 2]
    await bench.perform(loads)
    await until(dut, lambda: len(bench.done_at) == len(loads))
    times = [cycle for cycle, _ in bench.done_at]
    spent = [after - before for before, after in zip(times, times[1:], strict=False)]
    # Memory answers the later requests without a gap, so only the cycle between two loads remains
    # (and one in this bench between two answers, which may fall into it).
    for load, cycles in zip(loads[1:], spent, strict=True):
        assert load.beats + 1 <= cycles <= load.beats + 2, f"{load.beats} beats took {cycles} cycles"


def broken_loads(config):
    """{what is wrong: (load, the error)}"""
    activation, weight, parameter = isa.Target
    one = make_load(config, activation, 1)
    last_weight, last_parameter = config.weight_depth - 1, config.parameter_depth - 1
    return {
        "target": (replace(one, target=3), "illegal"),
        "width": (replace(make_load(config, weight, 1), width=len(config.weight_widths)), "illegal"),
        "region": (replace(one, region=3), "illegal"),
        "no beats": (replace(one, beats=0), "illegal"),
        "beats beyond the map": (make_load(config, activation, 5, columns=4), "illegal"),
        "beats short of the map": (make_load(config, activation, 3, columns=4), "illegal"),
        "no columns": (make_load(config, activation, 1, columns=0), "illegal"),
        "part of a word": (make_load(config, parameter, 2, beats=7), "illegal"),
        "past the weights": (make_load(config, weight, 3, word_address=last_weight), "address_weight"),
        "past the parameters": (make_load(config, parameter, 2, word_address=last_parameter), "address_weight"),
    }


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
        assert all(write[2] < depths.get(write[0], 2**32) for write in bench.writes), what
        for task in running:
            task.cancel()


@pytest.mark.parametrize("name", CONFIGS)
def test_load_unit(name, tmp_path):
    run_bench(LoadUnit(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
