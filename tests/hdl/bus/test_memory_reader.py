"""MemoryReader before cocotbext-axi's memory: order, turns, full rate, errors, flush."""

import itertools
import os
import random
from collections import deque

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiRamRead, AxiReadBus

from hdl.bus.axi import burst_layout, named_ports
from hdl.bus.memory_reader import CLIENTS, FETCH, LOAD, MemoryReader
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import collect, reset, send, until, until_holds, watch

CONFIGS = {
    "narrow_single": Config(pixels=3, lanes=4, port_bits=32, burst_beats=16, outstanding_bursts=1),
    "wide": Config(pixels=3, lanes=16, port_bits=128, burst_beats=32, outstanding_bursts=4),
}
SIZE = 1 << 16  # bytes that answer; the rest gives errors
LATENCY = 10


class Memory(AxiRamRead):
    """A memory that answers with SLVERR outside its size."""

    async def _read(self, address, length):
        if address >= SIZE:
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
    """Random bytes, and a function from bursts to the beats they read."""
    data = rng.randbytes(SIZE)
    width = config.port_bytes

    def beats_of(bursts):
        starts = (a + width * k for a, n in bursts for k in range(n))
        return [int.from_bytes(data[start : start + width], "little") for start in starts]

    return data, beats_of


async def start(dut, config, rng, stall):
    """A reader out of reset, its memory, what AR and both clients see."""
    Clock(dut.clk, 10, unit="ns").start()
    data, beats_of = contents(rng, config)
    idle_inputs = {f"bursts__{client}__valid": 0 for client in CLIENTS}
    await reset(dut, flush=0, **{f"beats__{client}__ready": 0 for client in CLIENTS}, **idle_inputs)
    memory = Memory(AxiReadBus.from_prefix(dut, "m_axi"), dut.clk, size=2 * SIZE)
    memory.write(0, data)
    memory.ar_channel.set_pause_generator(rng.random() < stall for _ in itertools.count())
    memory.r_channel.set_pause_generator(rng.random() < stall for _ in itertools.count())
    addresses, beats = [], [[] for _ in CLIENTS]
    cocotb.start_soon(watch(dut, "m_axi_ar", ("addr", "len", "size", "burst"), addresses))
    return beats_of, addresses, beats


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
    assert sorted(addresses) == sorted((a, n - 1, size, 1) for a, n in bursts[FETCH] + bursts[LOAD])
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
    await until_holds(dut, addresses, 12)
    alternating = [client for pair in zip(bursts[FETCH], bursts[LOAD]) for client in pair]
    order = [address for address, *_ in addresses]
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
        issued = len(addresses)
        await until(dut, lambda: flushed(dut))
        assert len(addresses) <= issued + 1  # an address that already waited, none else
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


async def pipelined_memory(dut, config, data):
    """A memory LATENCY cycles away that otherwise answers back to back."""
    due, now = deque(), 0
    dut.m_axi_arready.value, dut.m_axi_rvalid.value, dut.m_axi_rresp.value = 1, 0, 0
    while True:
        await RisingEdge(dut.clk)
        now += 1
        if int(dut.m_axi_arvalid.value):
            address, length = int(dut.m_axi_araddr.value), int(dut.m_axi_arlen.value)
            due += [(now + LATENCY - 1, address + k * config.port_bytes, k == length) for k in range(length + 1)]
        if int(dut.m_axi_rvalid.value):
            assert int(dut.m_axi_rready.value), "the reader held up the memory"
        dut.m_axi_rvalid.value = bool(due and due[0][0] <= now)
        if due and due[0][0] <= now:
            _, address, last = due.popleft()
            word = data[address : address + config.port_bytes]
            dut.m_axi_rdata.value, dut.m_axi_rlast.value = int.from_bytes(word, "little"), last


@cocotb.test(timeout_time=500, timeout_unit="us")
async def one_beat_per_cycle(dut):
    """Short bursts, as many as cover the latency, leave no gap between beats."""
    config = CONFIGS[os.environ["CONFIG"]]
    rng = random.Random(15)
    Clock(dut.clk, 10, unit="ns").start()
    data, beats_of = contents(rng, config)
    cocotb.start_soon(pipelined_memory(dut, config, data))
    await reset(dut, flush=0, bursts__0__valid=0, bursts__1__valid=0, beats__0__ready=0, beats__1__ready=0)
    bursts = [(4096 + 8 * config.port_bytes * k, 8) for k in range(12)]
    seen = []
    cocotb.start_soon(collect(dut, f"beats__{LOAD}", seen, rng, 0))
    cocotb.start_soon(send(dut, f"bursts__{LOAD}", pack_bursts(config, bursts), rng, 0))
    cycles = await until_holds(dut, seen, 96)
    assert seen == beats_of(bursts)
    if config.outstanding_bursts * 8 > LATENCY + 8:
        assert cycles <= 96 + LATENCY + MemoryReader.latency + 2


@pytest.mark.parametrize("name", CONFIGS)
def test_memory_reader(name, tmp_path):
    reader = MemoryReader(CONFIGS[name])
    run_bench(reader, __name__, tmp_path, environment={"CONFIG": name}, ports=named_ports(reader, {"axi": "m_axi_"}))
