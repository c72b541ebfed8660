"""MemoryWriter before cocotbext-axi's memory: contents, full rate, errors, flush in mid-burst."""

import itertools
import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from hdl.bus.axi import burst_layout, named_ports
from hdl.bus.memory_writer import MemoryWriter
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import reset, send, until, until_holds, watch

CONFIGS = {
    "narrow_single": Config(pixels=3, lanes=4, port_bits=32, burst_beats=16, outstanding_bursts=1),
    "wide": Config(pixels=3, lanes=16, port_bits=128, burst_beats=32, outstanding_bursts=4),
}
SIZE = 1 << 14  # bytes that can be written; the rest gives errors


class Memory(AxiRamWrite):
    """A memory that answers with SLVERR outside its size."""

    async def _write(self, address, data):
        if address >= SIZE:
            raise IndexError(address)
        self.write(address, data)


def random_burst(rng, config):
    beats = rng.choice([1, rng.randint(1, config.burst_beats)])
    page = rng.randrange(0, SIZE, 4096)
    return page + config.port_bytes * rng.randint(0, 4096 // config.port_bytes - beats), beats


def random_beats(rng, config, bursts):
    return [rng.getrandbits(config.port_bits) for _ in range(sum(n for _, n in bursts))]


def pack_bursts(config, bursts):
    layout = burst_layout(config)
    return [layout.const({"address": a, "length": n - 1}).as_value().value for a, n in bursts]


def write(contents, bursts, beats, config):
    """What the bursts do to a bytearray; beats that are missing write nothing."""
    width, beats = config.port_bytes, iter(beats)
    for address, n in bursts:
        for k, beat in zip(range(n), beats):
            contents[address + width * k : address + width * (k + 1)] = beat.to_bytes(width, "little")


async def start(dut, rng, stall):
    """A writer out of reset, its memory, its model's contents, what AW and W see."""
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, flush=0, bursts__valid=0, beats__valid=0)
    memory = Memory(AxiWriteBus.from_prefix(dut, "m_axi"), dut.clk, size=2 * SIZE)
    for channel in (memory.aw_channel, memory.w_channel, memory.b_channel):
        channel.set_pause_generator(rng.random() < stall for _ in itertools.count())
    memory.write(0, bytes(SIZE))
    addresses, data = [], []
    cocotb.start_soon(watch(dut, "m_axi_aw", ("addr", "len", "size", "burst"), addresses))
    cocotb.start_soon(watch(dut, "m_axi_w", ("data", "strb", "last"), data))
    return memory, bytearray(SIZE), addresses, data


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def memory_holds_what_was_written(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(21)
    memory, contents, addresses, data = await start(dut, rng, 0.3)
    bursts = [random_burst(rng, config) for _ in range(60)]
    beats = random_beats(rng, config, bursts)
    cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng, 0.8))
    cocotb.start_soon(send(dut, "beats", beats, rng, 0.2))
    await until_holds(dut, data, len(beats), 20000)
    await until(dut, lambda: dut.idle.value == 1)
    write(contents, bursts, beats, config)
    assert memory.read(0, SIZE) == contents
    size = config.port_bytes.bit_length() - 1
    assert addresses == [(a, n - 1, size, 1) for a, n in bursts]
    lasts = [k == n - 1 for _, n in bursts for k in range(n)]
    assert data == [(beat, (1 << config.port_bytes) - 1, last) for beat, last in zip(beats, lasts, strict=True)]


@cocotb.test(timeout_time=500, timeout_unit="us")
async def one_beat_per_cycle(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(22)
    memory, contents, _, data = await start(dut, rng, 0)
    bursts = [(1024 * k, 16) for k in range(8)]
    beats = random_beats(rng, config, bursts)
    cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng, 0))
    cocotb.start_soon(send(dut, "beats", beats, rng, 0))
    cycles = await until_holds(dut, data, len(beats))
    await until(dut, lambda: dut.idle.value == 1)
    write(contents, bursts, beats, config)
    assert memory.read(0, SIZE) == contents
    if config.outstanding_bursts > 1:
        assert cycles <= len(beats) + 5


@cocotb.test(timeout_time=500, timeout_unit="us")
async def errors_are_told_once_per_burst(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(23)
    memory, contents, _, _ = await start(dut, rng, 0.3)
    bursts = [(64, 3), (SIZE, 5), (SIZE + 4096, 1), (256, 2)]
    beats = random_beats(rng, config, bursts)
    cocotb.start_soon(send(dut, "bursts", pack_bursts(config, bursts), rng))
    cocotb.start_soon(send(dut, "beats", beats, rng))
    errors = 0
    for _ in range(300):
        await RisingEdge(dut.clk)
        errors += int(dut.error.value)
    assert dut.idle.value == 1 and errors == 2
    write(contents, [bursts[0], bursts[3]], beats[:3] + beats[9:], config)
    assert memory.read(0, SIZE) == contents


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
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(24)
    memory, contents, addresses, data = await start(dut, rng, 0.3)
    for round_ in range(40):
        addresses.clear()
        bursts, beats = await interrupted_write(dut, rng, config)
        dut.bursts__valid.value = dut.beats__valid.value = round_ % 2
        await RisingEdge(dut.clk)
        await until(dut, lambda: flushed(dut))
        dut.bursts__valid.value = dut.beats__valid.value = 0
        await ClockCycles(dut.clk, 2)
        dut.flush.value = 0
        assert [a for a, *_ in addresses] == [a for a, _ in bursts]
        write(contents, [b for b in bursts if b[0] < SIZE], beats, config)
        again = [random_burst(rng, config)]
        more = random_beats(rng, config, again)
        cocotb.start_soon(send(dut, "bursts", pack_bursts(config, again), rng))
        await send(dut, "beats", more, rng)
        await RisingEdge(dut.clk)
        await until(dut, lambda: dut.idle.value == 1)
        write(contents, again, more, config)
        assert memory.read(0, SIZE) == contents, f"round {round_}: {bursts} with {len(beats)} beats"


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_writer(name, tmp_path):
    writer = MemoryWriter(CONFIGS[name])
    run_bench(writer, __name__, tmp_path, environment={"CONFIG": name}, ports=named_ports(writer, {"axi": "m_axi_"}))
