"""MemoryWriter before a cocotbext-axi memory for each port: contents, full rate, errors, flush in mid-burst."""

import itertools
import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from hdl.bus.axi import burst_layout, named_ports, numbered
from hdl.bus.memory_writer import MemoryWriter
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import reset, send, until, until_holds, watch

CONFIGS = {
    "narrow_single": Config(pixels=3, lanes=4, port_bits=32, burst_beats=16, outstanding_bursts=1),
    "wide": Config(pixels=3, lanes=16, port_bits=128, burst_beats=32, outstanding_bursts=4),
    "two_ports": Config(pixels=3, lanes=4, port_bits=32, ports=2, burst_beats=32, outstanding_bursts=2),
    "four_ports": Config(pixels=3, lanes=16, port_bits=64, ports=4, burst_beats=32, outstanding_bursts=4),
}
SIZE = 1 << 14  # bytes of each port that can be written; the rest gives errors
BASES = (0x3000, 0, 0x5000, 0x1000)  # of the ports on the bus


class Memory(AxiRamWrite):
    """One port's memory, which begins at `base` and answers with SLVERR outside its size."""

    base = 0

    async def _write(self, address, data):
        if address - self.base >= SIZE:
            raise IndexError(address)
        self.write(address, data)


def random_burst(rng, config):
    beats = rng.choice([1, rng.randint(1, config.burst_beats)])
    page = rng.randrange(0, SIZE, 4096)
    return page + config.port_bytes * rng.randint(0, 4096 // config.port_bytes - beats), beats


def random_beats(rng, config, bursts):
    return [rng.getrandbits(config.beat_bits) for _ in range(sum(n for _, n in bursts))]


def pack_bursts(config, bursts):
    layout = burst_layout(config)
    return [layout.const({"address": a, "length": n - 1}).as_value().value for a, n in bursts]


def write(contents, bursts, beats, config):
    """What the bursts do to each port's bytearray; beats that are missing write nothing."""
    width, beats = config.port_bytes, iter(beats)
    for address, n in bursts:
        for k, beat in zip(range(n), beats):
            data = beat.to_bytes(config.beat_bytes, "little")
            for port, part in enumerate(contents):
                part[address + width * k : address + width * (k + 1)] = data[port * width : (port + 1) * width]


class Bench:
    """A writer out of reset, the ports' memories, their model's contents, what AW and W see."""

    async def start(self, dut, rng, stall):
        self.config = CONFIGS[os.environ["CONFIG"]]
        ports = range(self.config.ports)
        Clock(dut.clk, 10, unit="ns").start()
        bases = sum(BASES[port] << 32 * port for port in ports)
        await reset(dut, flush=0, bursts__valid=0, beats__valid=0, bases=bases)
        self.memories, self.contents = [], [bytearray(SIZE) for _ in ports]
        self.addresses, self.data = [[] for _ in ports], [[] for _ in ports]
        for port in ports:
            prefix = numbered("m_axi_", port)
            memory = Memory(AxiWriteBus.from_prefix(dut, prefix[:-1]), dut.clk, size=BASES[port] + 2 * SIZE)
            memory.base = BASES[port]
            memory.write(0, bytes(BASES[port] + SIZE))
            for channel in (memory.aw_channel, memory.w_channel, memory.b_channel):
                pauses = random.Random(rng.random())
                channel.set_pause_generator(pauses.random() < stall for _ in itertools.count())
            self.memories.append(memory)
            cocotb.start_soon(watch(dut, f"{prefix}aw", ("addr", "len", "size", "burst"), self.addresses[port]))
            cocotb.start_soon(watch(dut, f"{prefix}w", ("data", "strb", "last"), self.data[port]))
        return self

    def check(self, message=None):
        for base, memory, part in zip(BASES, self.memories, self.contents):
            assert memory.read(base, SIZE) == part, message


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def memory_holds_what_was_written(dut):
    rng = random.Random(21)
    bench = await Bench().start(dut, rng, 0.3)
    config = bench.config
    bursts = [random_burst(rng, config) for _ in range(60)]
    beats = random_beats(rng, config, bursts)
    cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng, 0.8))
    cocotb.start_soon(send(dut, "beats", beats, rng, 0.2))
    for data in bench.data:
        await until_holds(dut, data, len(beats), 20000)
    await until(dut, lambda: dut.idle.value == 1)
    write(bench.contents, bursts, beats, config)
    bench.check()
    size = config.port_bytes.bit_length() - 1
    lasts = [k == n - 1 for _, n in bursts for k in range(n)]
    mask, strobes = (1 << config.port_bits) - 1, (1 << config.port_bytes) - 1
    for port in range(config.ports):
        assert bench.addresses[port] == [(BASES[port] + a, n - 1, size, 1) for a, n in bursts]
        parts = [(beat >> port * config.port_bits) & mask for beat in beats]
        assert bench.data[port] == [(part, strobes, last) for part, last in zip(parts, lasts, strict=True)]


@cocotb.test(timeout_time=500, timeout_unit="us")
async def one_beat_per_cycle(dut):
    rng = random.Random(22)
    bench = await Bench().start(dut, rng, 0)
    config = bench.config
    bursts = [(1024 * k, 16) for k in range(8)]
    beats = random_beats(rng, config, bursts)
    cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng, 0))
    cocotb.start_soon(send(dut, "beats", beats, rng, 0))
    cycles = await until_holds(dut, bench.data[-1], len(beats))
    await until(dut, lambda: dut.idle.value == 1)
    write(bench.contents, bursts, beats, config)
    bench.check()
    if config.outstanding_bursts > 1:
        assert cycles <= len(beats) + 6


@cocotb.test(timeout_time=500, timeout_unit="us")
async def errors_are_told(dut):
    """Once for each burst and port, but for those that come in the same cycle."""
    rng = random.Random(23)
    bench = await Bench().start(dut, rng, 0.3)
    config = bench.config
    bursts = [(64, 3), (SIZE, 5), (SIZE + 4096, 1), (256, 2)]
    beats = random_beats(rng, config, bursts)
    cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng))
    cocotb.start_soon(send(dut, "beats", beats, rng))
    errors = 0
    for _ in range(300):
        await RisingEdge(dut.clk)
        errors += int(dut.error.value)
    assert dut.idle.value == 1 and 2 <= errors <= 2 * config.ports
    write(bench.contents, [bursts[0], bursts[3]], beats[:3] + beats[9:], config)
    bench.check()


async def interrupted_write(dut, rng, config):
    """Start writing, then flush at some moment; returns bursts and beats that were taken."""
    bursts = [random_burst(rng, config) for _ in range(8)] + [(SIZE, 4)]
    beats = random_beats(rng, config, bursts)
    taken = {"bursts__": [], "beats__": []}
    tasks = [cocotb.start_soon(watch(dut, name, ("payload",), into)) for name, into in taken.items()]
    tasks.append(cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng, 0.3)))
    tasks.append(cocotb.start_soon(send(dut, "beats", beats, rng, 0.5)))
    await ClockCycles(dut.clk, 2 + rng.randrange(80))
    await FallingEdge(dut.clk)
    for task in tasks:
        task.cancel()
    dut.flush.value = 1
    return bursts[: len(taken["bursts__"])], beats[: len(taken["beats__"])]


def flushed(dut):
    assert not int(dut.error.value) and not int(dut.bursts__ready.value) and not int(dut.beats__ready.value)
    return int(dut.idle.value)


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def flush_completes_bursts_with_nothing(dut):
    rng = random.Random(24)
    bench = await Bench().start(dut, rng, 0.3)
    config = bench.config
    for round_ in range(40):
        for addresses in bench.addresses:
            addresses.clear()
        bursts, beats = await interrupted_write(dut, rng, config)
        dut.bursts__valid.value = dut.beats__valid.value = round_ % 2
        await RisingEdge(dut.clk)
        await until(dut, lambda: flushed(dut))
        dut.bursts__valid.value = dut.beats__valid.value = 0
        await ClockCycles(dut.clk, 2)
        dut.flush.value = 0
        for base, addresses in zip(BASES, bench.addresses):
            assert [a - base for a, *_ in addresses] == [a for a, _ in bursts]
        write(bench.contents, [b for b in bursts if b[0] < SIZE], beats, config)
        again = [random_burst(rng, config)]
        more = random_beats(rng, config, again)
        cocotb.start_soon(send(dut, "bursts", pack_bursts(config, again), rng))
        await send(dut, "beats", more, rng)
        await RisingEdge(dut.clk)
        await until(dut, lambda: dut.idle.value == 1)
        write(bench.contents, again, more, config)
        bench.check(f"round {round_}: {bursts} with {len(beats)} beats")


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_writer(name, tmp_path):
    writer = MemoryWriter(CONFIGS[name])
    run_bench(writer, __name__, tmp_path, environment={"CONFIG": name}, ports=named_ports(writer, {"axi": "m_axi_"}))
