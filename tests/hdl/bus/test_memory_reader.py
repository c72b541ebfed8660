"""MemoryReader before a cocotbext-axi memory for each port: order, turns, full rate, skew, errors, flush."""

import itertools
import os
import random
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiRamRead, AxiReadBus

from hdl.bus.axi import burst_layout, named_ports, numbered
from hdl.bus.memory_reader import CLIENTS, FETCH, LOAD, MemoryReader
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import collect, reset, send, until, until_holds, watch

CONFIGS = {
    "narrow_single": Config(pixels=3, lanes=4, port_bits=32, burst_beats=16, outstanding_bursts=1),
    "wide": Config(pixels=3, lanes=16, port_bits=128, burst_beats=32, outstanding_bursts=4),
    "two_ports": Config(pixels=3, lanes=4, port_bits=32, ports=2, burst_beats=32, outstanding_bursts=2),
    "four_ports": Config(pixels=3, lanes=16, port_bits=64, ports=4, burst_beats=32, outstanding_bursts=4),
}
SIZE = 1 << 15  # bytes of each port that answer; the rest gives errors
BASES = (0x3000, 0, 0x5000, 0x1000)  # of the ports on the bus
LATENCY = 10


class Memory(AxiRamRead):
    """One port's memory, which begins at `base` and answers with SLVERR outside its size."""

    base = 0

    async def _read(self, address, length):
        if address - self.base >= SIZE:
            raise IndexError(address)
        return self.read(address, length)


def random_burst(rng, config, longest=None):
    beats = rng.choice([1, rng.randint(1, longest or config.burst_beats)])
    page = rng.randrange(0, SIZE, 4096)
    return page + config.port_bytes * rng.randint(0, 4096 // config.port_bytes - beats), beats


def pack_bursts(config, bursts):
    layout = burst_layout(config)
    return [layout.const({"address": a, "length": n - 1}).as_value().value for a, n in bursts]


def contents(rng, config):
    """Random bytes for each port, and a function from bursts to the beats they read."""
    data = [rng.randbytes(SIZE) for _ in range(config.ports)]
    width = config.port_bytes

    def beats_of(bursts):
        starts = (a + width * k for a, n in bursts for k in range(n))
        return [int.from_bytes(b"".join(part[start : start + width] for part in data), "little") for start in starts]

    return data, beats_of


async def start(dut, config, rng, stall):
    """A reader out of reset, its memory, what AR and both clients see."""
    Clock(dut.clk, 10, unit="ns").start()
    data, beats_of = contents(rng, config)
    await reset_reader(dut, config)
    addresses = [[] for _ in data]
    for port, part in enumerate(data):
        prefix = numbered("m_axi_", port)
        memory = Memory(AxiReadBus.from_prefix(dut, prefix[:-1]), dut.clk, size=BASES[port] + 2 * SIZE)
        memory.base = BASES[port]
        memory.write(BASES[port], part)
        for channel in (memory.ar_channel, memory.r_channel):
            pauses = random.Random(rng.random())
            channel.set_pause_generator(pauses.random() < stall for _ in itertools.count())
        cocotb.start_soon(watch(dut, f"{prefix}ar", ("addr", "len", "size", "burst"), addresses[port]))
    return beats_of, addresses, [[] for _ in CLIENTS]


async def reset_reader(dut, config):
    idle = {f"bursts__{client}__valid": 0 for client in CLIENTS} | {f"beats__{client}__ready": 0 for client in CLIENTS}
    idle |= {numbered("m_axi_", port) + "rvalid": 0 for port in range(config.ports)}
    bases = sum(base << 32 * port for port, base in enumerate(BASES[: config.ports]))
    await reset(dut, flush=0, bases=bases, **idle)


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def both_clients_read(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(11)
    beats_of, addresses, beats = await start(dut, config, rng, 0.3)
    bursts = [[random_burst(rng, config) for _ in range(40)] for _ in CLIENTS]
    for client in CLIENTS:
        words = pack_bursts(config, bursts[client])
        cocotb.start_soon(send(dut, f"bursts__{client}", words, rng, 0.8))
        cocotb.start_soon(collect(dut, f"beats__{client}", beats[client], rng, 0.3))
    expected = [beats_of(of_client) for of_client in bursts]
    await until(dut, lambda: [len(b) for b in beats] == [len(e) for e in expected], 20000)
    await ClockCycles(dut.clk, 3)
    assert beats == expected
    size = config.port_bytes.bit_length() - 1
    for base, seen in zip(BASES, addresses):
        assert sorted(seen) == sorted((base + a, n - 1, size, 1) for a, n in bursts[FETCH] + bursts[LOAD])
    assert dut.idle.value == 1


@cocotb.test(timeout_time=500, timeout_unit="us")
async def clients_take_turns(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(12)
    _, addresses, beats = await start(dut, config, rng, 0)
    bursts = [[random_burst(rng, config) for _ in range(6)] for _ in CLIENTS]
    for client in (LOAD, FETCH):
        cocotb.start_soon(send(dut, f"bursts__{client}", pack_bursts(config, bursts[client]), rng, 0))
        cocotb.start_soon(collect(dut, f"beats__{client}", beats[client], rng, 0))
    await until_holds(dut, addresses[-1], 12)
    alternating = [client for pair in zip(bursts[FETCH], bursts[LOAD]) for client in pair]
    order = [address - BASES[config.ports - 1] for address, *_ in addresses[-1]]
    # Whoever offers first begins; from then on nobody goes twice while the other waits.
    begun = order.index(alternating[0][0])
    assert begun <= 1 and order[begun : begun + 10] == [address for address, _ in alternating[:10]]


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def errors_are_told_once_per_beat(dut):
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(13)
    beats_of, _, beats = await start(dut, config, rng, 0.3)
    bursts = [(SIZE - 4096, 3), (SIZE + 4096, 5), (64, 2)]
    cocotb.start_soon(send(dut, f"bursts__{LOAD}", pack_bursts(config, bursts), rng))
    cocotb.start_soon(collect(dut, f"beats__{LOAD}", beats[LOAD], rng))
    errors = 0
    for _ in range(300):
        await RisingEdge(dut.clk)
        errors += int(dut.error.value)
    assert len(beats[LOAD]) == 10 and errors == 5
    assert beats[LOAD][:3] + beats[LOAD][8:] == beats_of([bursts[0], bursts[2]])


def flushed(dut):
    for client in CLIENTS:
        assert not int(getattr(dut, f"bursts__{client}__ready").value)
        assert not int(getattr(dut, f"beats__{client}__valid").value)
    assert not int(dut.error.value)
    return int(dut.idle.value)


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def flush_swallows_what_is_under_way(dut):
    """In mid-burst and with an address waiting; afterwards the next reader sees only its own."""
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(14)
    beats_of, addresses, beats = await start(dut, config, rng, 0.3)
    for round_ in range(25):
        tasks = []
        for client in CLIENTS:
            lost = [random_burst(rng, config) for _ in range(8)] + [(SIZE, 4)]
            words = pack_bursts(config, lost)
            tasks.append(cocotb.start_soon(send(dut, f"bursts__{client}", words, rng, 0.3)))
            tasks.append(cocotb.start_soon(collect(dut, f"beats__{client}", [], rng, 0.6)))
        await ClockCycles(dut.clk, 2 + rng.randrange(60))
        for task in tasks:
            task.cancel()
        dut.flush.value = 1
        for client in CLIENTS:  # the clients are reset at the same time
            getattr(dut, f"bursts__{client}__valid").value = round_ % 2
            getattr(dut, f"beats__{client}__ready").value = 0
        await RisingEdge(dut.clk)
        issued = [len(of_port) for of_port in addresses]
        await until(dut, lambda: flushed(dut))
        # Addresses that already waited, two at most, none else; and all ports are even again.
        assert all(len(of_port) <= before + 2 for of_port, before in zip(addresses, issued, strict=True))
        assert len({len(of_port) for of_port in addresses}) == 1
        for client in CLIENTS:
            getattr(dut, f"bursts__{client}__valid").value = 0
        await ClockCycles(dut.clk, 2)
        dut.flush.value = 0
        for client in CLIENTS:
            bursts, seen = [random_burst(rng, config, 8)], []
            collector = cocotb.start_soon(collect(dut, f"beats__{client}", seen, rng))
            await send(dut, f"bursts__{client}", pack_bursts(config, bursts), rng)
            await until_holds(dut, seen, bursts[0][1])
            collector.cancel()
            assert seen == beats_of(bursts), f"client {client}, round {round_}"


async def pipelined_memory(dut, config, port, data, pauses):
    """A memory LATENCY cycles away that otherwise answers back to back, but for cycles in which `pauses()`."""
    due, now = deque(), 0
    ar, r = numbered("m_axi_", port) + "ar", numbered("m_axi_", port) + "r"
    signal = {name: getattr(dut, name) for name in (ar + "valid", ar + "addr", ar + "len", r + "valid", r + "ready")}
    getattr(dut, ar + "ready").value, signal[r + "valid"].value, getattr(dut, r + "resp").value = 1, 0, 0
    while True:
        await RisingEdge(dut.clk)
        now += 1
        if int(signal[ar + "valid"].value):
            address, length = int(signal[ar + "addr"].value) - BASES[port], int(signal[ar + "len"].value)
            due += [(now + LATENCY - 1, address + k * config.port_bytes, k == length) for k in range(length + 1)]
        if int(signal[r + "valid"].value) and not int(signal[r + "ready"].value):
            continue
        offers = bool(due and due[0][0] <= now and not pauses())
        signal[r + "valid"].value = offers
        if offers:
            _, address, last = due.popleft()
            word = data[address : address + config.port_bytes]
            getattr(dut, r + "data").value, getattr(dut, r + "last").value = int.from_bytes(word, "little"), last


async def rate(dut, pauses):
    """Cycles that 12 bursts of 8 beats take, each port of the memory pausing as told."""
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(15)
    Clock(dut.clk, 10, unit="ns").start()
    data, beats_of = contents(rng, config)
    for port, part in enumerate(data):
        cocotb.start_soon(pipelined_memory(dut, config, port, part, pauses(port)))
    await reset_reader(dut, config)
    bursts = [(4096 + 8 * config.port_bytes * k, 8) for k in range(12)]
    seen = []
    cocotb.start_soon(collect(dut, f"beats__{LOAD}", seen, rng, 0))
    cocotb.start_soon(send(dut, f"bursts__{LOAD}", pack_bursts(config, bursts), rng, 0))
    cycles = await until_holds(dut, seen, 96)
    assert seen == beats_of(bursts)
    return config, cycles


@cocotb.test(timeout_time=500, timeout_unit="us")
async def one_beat_per_cycle(dut):
    """Short bursts, as many as cover the latency, leave no gap between beats."""
    config, cycles = await rate(dut, lambda port: lambda: False)
    if config.outstanding_bursts * 8 > LATENCY + 8:
        assert cycles <= 96 + LATENCY + 2 * MemoryReader.latency + 2


@cocotb.test(timeout_time=500, timeout_unit="us")
async def ports_that_pause_at_different_times_cost_no_more_than_one(dut):
    """Each port rests in turn for 4 of 32 cycles: what one is behind waits in the others' queues."""

    def pauses(port):
        clock = itertools.count(8 * port)
        return lambda: next(clock) % 32 < 4

    config, cycles = await rate(dut, pauses)
    if config.outstanding_bursts * 8 > LATENCY + 8:
        assert cycles <= 96 * 32 // 28 + 4 + LATENCY + 2 * MemoryReader.latency + 6


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_reader(name, tmp_path):
    reader = MemoryReader(CONFIGS[name])
    run_bench(reader, __name__, tmp_path, environment={"CONFIG": name}, ports=named_ports(reader, {"axi": "m_axi_"}))
