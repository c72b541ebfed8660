"""StoreUnit against isa.Store's docstring, with scratchpad and memory stalling at random."""

import os
import random
from dataclasses import replace

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, NextTimeStep, ReadOnly, RisingEdge

from hdl.transfer.store_unit import StoreUnit
from quantflow import isa
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.rows import row_to_beats
from tests.hdl.streams import collect, reset, send, until

CONFIGS = {
    "two_beats": Config(pixels=3, lanes=4, port_bits=64, weight_bits=4, activation_bits=7),
    "28_beats": Config(pixels=7, lanes=8, port_bits=32, activation_bits=11),
    "one_beat": Config(pixels=3, lanes=4, port_bits=64, ports=2),
    "four_ports": Config(pixels=7, lanes=16, port_bits=64, ports=4),
}
BASES = (0x1000_0000, 0xFFFF_F000, 0x0400, 0x2000_0000)
ANSWER = 9  # cycles from the last beat to memory's answer


def scratchpad_row(address, config):
    return random.Random(address).getrandbits(config.pixels * config.lanes * config.activation_bits)


def expected_beats(store, config):
    for n in range(store.beats // config.bank_row_beats):
        yield from row_to_beats(scratchpad_row(store.word_address + n, config), config)


def make_store(config, rows, **fields):
    settings = {"wait": 0, "signal": 0, "region": 0, "memory_address": 0, "word_address": 0}
    return isa.Store(**settings | {"beats": rows * config.bank_row_beats} | fields)


class Bench:
    """Scratchpad, memory's write port and a record of what happened."""

    def __init__(self, dut, config, rng, stall):
        self.dut, self.config, self.rng, self.stall = dut, config, rng, stall
        self.requests, self.beats, self.taken_at, self.beats_at, self.done_at = [], [], [], [], []
        self.illegal, self.cycle = False, 0

    async def start(self):
        clock = Clock(self.dut.clk, 10, unit="ns").start()
        bases = sum(base << (32 * n) for n, base in enumerate(BASES))
        idle = dict(instructions__valid=0, requests__ready=0, beats__ready=0, store_read__ready=0, rows__valid=0)
        await reset(self.dut, bases=bases, written=1, **idle)
        parts = (
            collect(self.dut, "requests", self.requests, self.rng, self.stall),
            collect(self.dut, "beats", self.beats, self.rng, self.stall),
            self.scratchpad(),
            self.memory(),
        )
        return [clock] + [cocotb.start_soon(part) for part in parts]

    async def scratchpad(self):
        """Answer each read one cycle later, and take the next only when that row can leave."""
        dut, offered, row = self.dut, None, None
        while True:
            dut.rows__valid.value = row is not None
            dut.rows__payload.value = self.rng.getrandbits(len(dut.rows__payload)) if row is None else row
            willing = self.rng.random() >= self.stall
            dut.store_read__ready.value = 0
            await ReadOnly()
            leaves = row is None or dut.rows__ready.value == 1
            await NextTimeStep()
            dut.store_read__ready.value = willing and leaves
            await RisingEdge(dut.clk)
            read = dut.store_read__payload.value.to_unsigned() if dut.store_read__valid.value == 1 else None
            assert offered is None or read == offered, f"store_read offered {offered}, then {read}"
            taken = read is not None and dut.store_read__ready.value == 1
            offered = None if taken else read
            row = scratchpad_row(read, self.config) if taken else None if leaves else row

    async def memory(self):
        """Answer a request ANSWER cycles after its last beat; note done pulses and errors."""
        dut, owed, answer_at = self.dut, 0, None
        requests = beats = 0
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            if dut.instructions__valid.value == 1 and dut.instructions__ready.value == 1:
                self.taken_at.append(self.cycle)
            if dut.beats__valid.value == 1 and dut.beats__ready.value == 1:
                self.beats_at.append(self.cycle)
            owed += sum(request >> 32 for request in self.requests[requests:]) - (len(self.beats) - beats)
            if len(self.beats) > beats:
                answer_at = self.cycle + ANSWER
            requests, beats = len(self.requests), len(self.beats)
            dut.written.value = answer_at is None or (owed == 0 and self.cycle >= answer_at)
            self.illegal |= dut.error_illegal.value == 1
            if dut.done.value == 1:
                assert owed == 0 and self.cycle >= answer_at, "done came before memory's answer"
                self.done_at.append((self.cycle, beats))

    async def perform(self, stores):
        words = [isa.encode(store, self.config) for store in stores]
        await send(self.dut, "instructions", words, self.rng, self.stall)


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def performs_random_stores(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(41)
    bench = Bench(dut, config, rng, stall=0.4)
    await bench.start()
    last = config.activation_depth - 12
    stores = [
        make_store(
            config,
            rng.randint(1, 12),
            region=rng.choice(isa.WRITABLE),
            memory_address=rng.getrandbits(20),
            word_address=rng.randint(0, last),
        )
        for _ in range(30)
    ]
    await bench.perform(stores)
    await until(dut, lambda: len(bench.done_at) == len(stores), cycles=20000)
    await ClockCycles(dut.clk, 5)
    beats = []
    for store, request, (_, count) in zip(stores, bench.requests, bench.done_at, strict=True):
        beats += expected_beats(store, config)
        assert request == (store.beats << 32) | (BASES[store.region] + store.memory_address) % 2**32
        assert count == len(beats), f"done came after {count} beats, not {len(beats)}: {store}"
    for n, (seen, wanted) in enumerate(zip(bench.beats, beats, strict=True)):
        assert seen == wanted, f"beat {n} is {seen:#x}, expected {wanted:#x}"
    assert not bench.illegal
    assert dut.busy.value == 0


@cocotb.test(timeout_time=200, timeout_unit="us")
async def sustains_a_beat_per_cycle(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    bench = Bench(dut, config, random.Random(42), stall=0)
    await bench.start()
    store = make_store(config, 40)
    await bench.perform([store])
    await until(dut, lambda: bench.done_at)
    first = bench.taken_at[0] + StoreUnit.latency
    assert bench.beats_at == list(range(first, first + store.beats))


@cocotb.test(timeout_time=500, timeout_unit="us")
async def reports_broken_stores(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    good = make_store(config, 4)
    broken = {"no beats": replace(good, beats=0)}
    if config.bank_row_beats > 1:
        broken["part of a row"] = replace(good, beats=good.beats + 1)
    for what, store in broken.items():
        bench = Bench(dut, config, random.Random(45), stall=0.2)
        running = await bench.start()
        running.append(cocotb.start_soon(bench.perform([store])))
        await until(dut, lambda bench=bench: bench.illegal)
        assert not bench.done_at, what
        for task in running:
            task.cancel()


@pytest.mark.parametrize("name", CONFIGS)
def test_store_unit(name, tmp_path):
    run_bench(StoreUnit(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
