"""Loads and stores on the simulated memory: full rate over 1, 2 and 4 ports, the same bytes in any timing, errors."""

import os
import random
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from quantflow import isa, packing
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.striping import joined, stripes
from sim.simulator import build
from sim.testbench import memory_inputs, read_words, write_words
from tests.hdl.streams import send
from tests.hdl.transfer.memory_path import MEMORY_INPUTS, TOP, bench_source

SMALL = {"activation_depth": 64, "weight_depth": 80, "parameter_depth": 8, "outstanding_bursts": 8}
CONFIGS = {
    "one_port": Config(pixels=3, lanes=4, port_bits=64, **SMALL),
    "two_ports": Config(pixels=2, lanes=8, port_bits=64, ports=2, **SMALL),
    "256_bits": Config(pixels=7, lanes=16, port_bits=64, ports=4, **SMALL),
}
PART = 1 << 15  # bytes of each port's memory
SHORT = 18  # beats of a short load


class Bench:
    """The memory path out of reset, its memory filled at random, events counted."""

    def __init__(self, dut):
        self.dut, self.config = dut, CONFIGS[os.environ["CONFIG"]]
        self.rng = random.Random(51)
        self.ports = {"ports": self.config.ports, "port_bytes": self.config.port_bytes, "stride": PART}
        self.bytes = PART * self.config.ports

    async def start(self, timing=None, stalls=0, **inputs):
        dut = self.dut
        Clock(dut.clk, 10, unit="ns").start()
        settings = memory_inputs(timing or MemoryTiming(latency=30), stalls) | inputs
        for name in MEMORY_INPUTS:
            getattr(dut, name).value = settings.get(name, 0)
        dut.loads__valid.value = dut.stores__valid.value = dut.weight_address.value = 0
        dut.port_bases.value = sum(PART * port << 32 * port for port in range(self.config.ports))
        dut.rst.value = 1
        for _ in range(3):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        self.memory = np.frombuffer(bytearray(self.rng.randbytes(self.bytes)), np.uint8)
        write_words(Path("memory_load.hex"), stripes(0, self.memory, **self.ports), self.config.port_bytes)
        await self._pulse(dut.backdoor_load)
        self.count = {name: 0 for name in ("load_done", "store_done", "read_error", "write_error", "error")}
        self.at = {"read_beat": [], "write_beat": []}
        cocotb.start_soon(self._watch())
        return self

    async def _watch(self):
        cycle = 0
        while True:
            await RisingEdge(self.dut.clk)
            for name in self.count:
                self.count[name] += int(getattr(self.dut, name).value)
            for name, cycles in self.at.items():
                if int(getattr(self.dut, name).value):
                    cycles.append(cycle)
            cycle += 1

    async def _pulse(self, signal):
        signal.value = 1
        await RisingEdge(self.dut.clk)
        signal.value = 0
        await RisingEdge(self.dut.clk)

    async def perform(self, loads=(), stores=(), limit=20000):
        """Both units' instructions, at once."""
        for name, instructions in (("loads", loads), ("stores", stores)):
            words = [isa.encode(instruction, self.config) for instruction in instructions]
            cocotb.start_soon(send(self.dut, name, words, self.rng, 0))
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            if self.count["load_done"] == len(loads) and self.count["store_done"] == len(stores):
                return
        raise AssertionError(f"not finished after {limit} cycles: {self.count}")

    async def contents(self):
        """The machine's memory as it is now."""
        words, parts = PART // self.config.port_bytes, []
        for port in range(self.config.ports):
            self.dut.backdoor_first.value = port * words
            self.dut.backdoor_last.value = (port + 1) * words - 1
            await self._pulse(self.dut.backdoor_store)
            parts.append(read_words(Path("memory_store.hex"), self.config.port_bytes))
        return np.frombuffer(joined(parts, self.config.port_bytes), np.uint8)

    def load(self, target, beats, beat, word_address=0, width=None):
        code = (width or self.config.weight_widths[-1]).bit_length() - 2
        place = {"memory_address": beat * self.config.beat_bytes, "word_address": word_address, "region": 0}
        return isa.Load(wait=0, signal=0, target=target, width=code, beats=beats, **place)

    def store(self, rows, beat, word_address=0):
        beats, address = rows * self.config.bank_row_beats, beat * self.config.beat_bytes
        return isa.Store(wait=0, signal=0, region=0, memory_address=address, beats=beats, word_address=word_address)

    def weight_loads(self, count):
        """Loads of all element widths in turn, each of about SHORT beats, from any beat."""
        config, loads = self.config, []
        last = self.bytes // config.beat_bytes - 2 * SHORT
        for n in range(count):
            width = config.weight_widths[n % len(config.weight_widths)]
            words = max(1, SHORT // config.weight_word_beats(width))
            beats = words * config.weight_word_beats(width)
            loads.append(self.load(isa.Target.WEIGHT, beats, self.rng.randrange(last), width=width))
        return loads


def span(cycles):
    return cycles[-1] - cycles[0] + 1


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def short_weight_loads_stream_at_full_rate(dut):
    """The memory 30 cycles away and loads of 18 beats: from the first beat to the last nothing is lost."""
    bench = await Bench(dut).start()
    loads = bench.weight_loads(60)
    await bench.perform(loads)
    beats = sum(load.beats for load in loads)
    assert len(bench.at["read_beat"]) == beats
    assert span(bench.at["read_beat"]) <= beats + 2


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def long_loads_hide_200_cycles_of_latency(dut):
    bench = await Bench(dut).start(MemoryTiming(latency=200))
    word = bench.config.weight_word_beats(bench.config.weight_widths[-1])
    beats = 40 * word
    await bench.perform([bench.load(isa.Target.WEIGHT, beats, 0) for _ in range(1200 // beats + 2)])
    assert span(bench.at["read_beat"]) <= 1.01 * len(bench.at["read_beat"])


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def stores_overlap_loads(dut):
    """Rows come in and others go out, each a beat per cycle; a common limit of 7/8 is used up by both together."""
    for share in (None, 7 / 8):
        bench = Bench(dut)
        config = bench.config
        rate = share and share * config.beat_bytes
        await bench.start(MemoryTiming(latency=20, bytes_per_cycle=rate))
        rows = 30
        loads = [bench.load(isa.Target.ACTIVATION, rows * config.bank_row_beats, n % 3) for n in range(12)]
        stores = [bench.store(rows, 400, 32) for n in range(6)]
        await bench.perform(loads, stores)
        reads, writes = bench.at["read_beat"], bench.at["write_beat"]
        total = max(reads[-1], writes[-1]) - min(reads[0], writes[0]) + 1
        if share is None:
            row_cycles = config.bank_row_beats
            # Where a row is a beat or two, loads and stores meet at the banks' second ports.
            assert span(reads) <= len(reads) * max(1, (row_cycles + 1) / row_cycles) + 4
            # Stores wait for loads there, and each for the memory's answer to the one before.
            assert row_cycles == 1 or total <= max(len(reads), len(writes) + 6 * 20) + 60
        else:
            ideal = (len(reads) + len(writes)) / share
            assert total <= 1.03 * ideal + 6 * 20 + 40


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def what_was_loaded_is_stored_in_any_timing(dut):
    """Rows from memory into the scratchpad and back elsewhere: the same in memory, also where ports stand still."""
    far = MemoryTiming(latency=60, bytes_per_cycle=5)
    for timing, stalls, seed in ((MemoryTiming(latency=2), 0, 1), (far, 0.4, 2)):
        bench = await Bench(dut).start(timing, stalls, seed=seed)
        config, expected = bench.config, bench.memory.copy()
        last = bench.bytes // config.beat_bytes - 40 * config.bank_row_beats
        for _ in range(6):
            rows, first = bench.rng.randint(1, 40), bench.rng.randint(0, 20)
            source, target = bench.rng.randrange(last), bench.rng.randrange(last)
            load = bench.load(isa.Target.ACTIVATION, rows * config.bank_row_beats, source, first)
            await bench.perform([*bench.weight_loads(2), load])
            bench.count["load_done"] = 0
            await bench.perform([], [bench.store(rows, target, first)])
            bench.count["store_done"] = 0
            size = rows * config.bank_row_bytes
            data = expected[source * config.beat_bytes :][:size].copy()
            rows_read = packing.unpack_bank_rows(data, config)
            expected[target * config.beat_bytes :][:size] = packing.pack_bank_rows(rows_read, config)
        np.testing.assert_array_equal(await bench.contents(), expected)
        assert not any(bench.count[name] for name in ("read_error", "write_error", "error"))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def weights_arrive(dut):
    bench = await Bench(dut).start(MemoryTiming(latency=25), 0.3, seed=5)
    config = bench.config
    for width in config.weight_widths:
        words = 20
        beats = words * config.weight_word_beats(width)
        await bench.perform([bench.load(isa.Target.WEIGHT, beats, 7, 3, width)])
        bench.count["load_done"] = 0
        data = bench.memory[7 * config.beat_bytes :][: beats * config.beat_bytes]
        for n, word in enumerate(packing.unpack_words(data, width, config.lanes**2)):
            dut.weight_address.value = 3 + n
            await RisingEdge(dut.clk)
            await RisingEdge(dut.clk)
            await RisingEdge(dut.clk)
            bits = packing.to_bits(word, config.weight_bits).reshape(-1)
            assert int(dut.weight_data.value) == sum(int(bit) << k for k, bit in enumerate(bits)), (width, n)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_part_that_fails_is_told(dut):
    """A range that answers with errors, on the last port only."""
    bench = Bench(dut)
    words = PART // bench.config.port_bytes
    last = bench.config.ports - 1
    await bench.start(error_first=last * words + 100, error_last=last * words + 101)
    rows = 20
    first = 101 - rows * bench.config.bank_row_beats // 2
    await bench.perform([bench.load(isa.Target.ACTIVATION, rows * bench.config.bank_row_beats, first)])
    assert (bench.count["read_error"], bench.count["write_error"]) == (2, 0)
    bench.count["load_done"] = 0
    await bench.perform(stores=[bench.store(rows, first)])
    assert (bench.count["read_error"], bench.count["write_error"]) == (2, 1)


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_path(name, tmp_path):
    config = CONFIGS[name]
    built = build(bench_source(config, PART * config.ports), top=TOP, closed=True)
    built.run(__name__, folder=tmp_path, environment={"CONFIG": name})
