"""BlockMemory and SinglePortMemory behind cocotbext-axi's master, with the host at their side door."""

import itertools
import logging
import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiMaster

from hdl.system.block_memory import BlockMemory
from hdl.system.bursts import DECERR
from hdl.system.single_port_memory import SinglePortMemory
from hdl.system.storage import Storage
from quantflow.config import Config
from tests.hdl.streams import reset, until, watch
from tests.hdl.system.simulated import run_storage_bench

MEMORIES = {
    "narrow": (Config(pixels=2, lanes=4, port_bits=32), 5000, BlockMemory),
    "wide": (Config(pixels=2, lanes=8, port_bits=128), 24_600, BlockMemory),
    "single_port": (Config(pixels=2, lanes=4, port_bits=32), 5000, SinglePortMemory),
    "wide_single_port": (Config(pixels=2, lanes=8, port_bits=64), 4096, SinglePortMemory),
}
HOST_CYCLES = {BlockMemory: Storage.latency + 1, SinglePortMemory: 1}  # from a read that is taken to its word
HOST = {"host__enable": 0, "host__write": 0, "host__address": 0, "host__write_data": 0}


def memory_of_test():
    config, size, memory = MEMORIES[os.environ["MEMORY"]]
    return config, -(-size // config.port_bytes) * config.port_bytes, memory


async def start(dut, rng, stall):
    """A memory out of reset, a master that pauses at random."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    Clock(dut.clk, 10, unit="ns").start()
    master = AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    await reset(dut, **HOST)
    write, read = master.write_if, master.read_if
    for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
        pauses = random.Random(rng.random())
        channel.set_pause_generator(pauses.random() < stall for _ in itertools.count())
    await ClockCycles(dut.clk, 3)
    return master


async def host(dut, address, value=None):
    """One access of the host to a word: a write of `value`, or a read and what it gives."""
    dut.host__enable.value, dut.host__write.value = 1, value is not None
    dut.host__address.value, dut.host__write_data.value = address, value or 0
    await RisingEdge(dut.clk)
    await until(dut, lambda: int(dut.host__ready.value))
    dut.host__enable.value = 0
    if value is None:
        await RisingEdge(dut.clk)
        cycles = 1 + await until(dut, lambda: int(dut.host__read_valid.value))
        assert cycles == HOST_CYCLES[memory_of_test()[2]]
        return int(dut.host__read_data.value)


def region(rng, config, first, last):
    """A random burst's bytes within [first, last)."""
    beats = rng.choice([1, 2, rng.randint(1, 64)])
    beats = min(beats, (last - first) // config.port_bytes)
    return first + config.port_bytes * rng.randint(0, (last - first) // config.port_bytes - beats), (
        beats * config.port_bytes
    )


@cocotb.test(timeout_time=5000, timeout_unit="us")
async def bursts_and_the_host_at_the_same_time(dut):
    """Two streams of AXI accesses and one of the host's, each in a part of its own, lose nothing."""
    rng = random.Random(1)
    config, size, _ = memory_of_test()
    master = await start(dut, rng, 0.3)
    image = rng.randbytes(size)
    await master.write(0, image)
    image = bytearray(image)
    third = size // 3 // 4096 * 4096 or size // 3 // 64 * 64
    parts = [(0, third), (third, 2 * third), (2 * third, size)]

    async def bus(part, rng):
        for _ in range(60):
            address, length = region(rng, config, *part)
            if rng.random() < 0.5:
                data = rng.randbytes(length)
                await master.write(address, data)
                image[address : address + length] = data
            else:
                assert (await master.read(address, length)).data == image[address : address + length]

    async def door(part, rng):
        for _ in range(400):
            address = rng.randrange(part[0], part[1], 4)
            if rng.random() < 0.5:
                data = rng.randbytes(4)
                await host(dut, address // 4, int.from_bytes(data, "little"))
                image[address : address + 4] = data
            else:
                word = await host(dut, address // 4)
                assert word == int.from_bytes(image[address : address + 4], "little")
            await ClockCycles(dut.clk, rng.choice([1, 1, 5, 20]))

    tasks = [cocotb.start_soon(bus(part, random.Random(n))) for n, part in enumerate(parts[:2])]
    tasks.append(cocotb.start_soon(door(parts[2], random.Random(9))))
    for task in tasks:
        await task
    assert (await master.read(0, size)).data == image
    for address in rng.sample(range(0, size, 4), 50):
        assert await host(dut, address // 4) == int.from_bytes(image[address : address + 4], "little")


@cocotb.test(timeout_time=500, timeout_unit="us")
async def outside_is_answered_with_an_error(dut):
    rng = random.Random(2)
    config, size, _ = memory_of_test()
    master = await start(dut, rng, 0.2)
    width = config.port_bytes
    image = rng.randbytes(4 * width)
    assert (await master.write(size - 4 * width, image)).resp == 0
    for address in (size, size + 64 * width, 1 << 31, (1 << 32) - 4 * width):
        assert (await master.write(address, bytes(4 * width))).resp == DECERR
        assert (await master.read(address, 2 * width)).resp == DECERR
    if size % 4096:  # else a burst over the end would leave its page
        assert (await master.write(size - width, image[3 * width :] + bytes(width))).resp == DECERR
        assert (await master.read(size - width, 2 * width)).resp == DECERR
    read = await master.read(size - 4 * width, 4 * width)
    assert read.resp == 0 and read.data == image


@cocotb.test(timeout_time=500, timeout_unit="us")
async def nothing_is_written_without_strobes(dut):
    """What the machine's writer sends while it is flushed."""
    config, _, _ = memory_of_test()
    Clock(dut.clk, 10, unit="ns").start()
    words = [0x01234567 + n for n in range(2 * config.port_bytes // 4)]
    channel = {"awaddr": 0, "awlen": 1, "awvalid": 0, "awid": 0, "wstrb": 0, "wvalid": 0, "wlast": 0, "bready": 1}
    await reset(dut, **HOST, **{f"s_axi_{name}": value for name, value in channel.items()}, s_axi_arvalid=0)
    for address, word in enumerate(words):
        await host(dut, address, word)
    dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 1
    await until(dut, lambda: int(dut.s_axi_awready.value))
    await RisingEdge(dut.clk)
    dut.s_axi_awvalid.value = 0
    await until(dut, lambda: int(dut.s_axi_wready.value))
    dut.s_axi_wlast.value = 1
    await until(dut, lambda: int(dut.s_axi_bvalid.value))
    dut.s_axi_wvalid.value = 0
    assert [await host(dut, address) for address in range(len(words))] == words


@cocotb.test(timeout_time=500, timeout_unit="us")
async def a_beat_a_cycle(dut):
    """Bursts follow without a gap, the first beat `latency` cycles after its address; the host takes one beat each."""
    rng = random.Random(4)
    config, _, memory = memory_of_test()
    master = await start(dut, rng, 0)
    image = rng.randbytes(2048)
    await master.write(0, image)
    bursts, beats, taken = 8, 256 // config.port_bytes, []
    master.read_if.r_channel.set_pause_generator(None)
    await ClockCycles(dut.clk, 5)
    cocotb.start_soon(watch(dut, "s_axi_r", ("data", "last", "resp"), taken))
    reads = [cocotb.start_soon(master.read(256 * n, 256)) for n in range(bursts)]
    await until(dut, lambda: int(dut.s_axi_arvalid.value) and int(dut.s_axi_arready.value))
    cycles = await until(dut, lambda: int(dut.s_axi_rvalid.value))
    assert cycles == memory.latency
    before = len(taken)
    asked = 5
    for n in range(asked):
        await host(dut, n)
    cycles = (HOST_CYCLES[memory] + 1) * asked + await until(dut, lambda: len(taken) - before >= bursts * beats - 1)
    assert cycles <= bursts * beats + asked + 2
    for n, read in enumerate(reads):
        assert (await read).data == image[256 * n : 256 * (n + 1)]


@pytest.mark.parametrize("name", MEMORIES)
def test_block_memory(name, tmp_path):
    config, size, memory = MEMORIES[name]
    run_storage_bench(memory(config, size), __name__, tmp_path, environment={"MEMORY": name})


@pytest.mark.parametrize("memory", [BlockMemory, SinglePortMemory])
def test_several_ports_are_refused(memory):
    with pytest.raises(ValueError, match="serves a machine with ports = 1, not 2"):
        memory(Config(pixels=2, lanes=4, port_bits=32, ports=2), 4096)
