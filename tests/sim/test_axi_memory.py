"""sim/axi_memory.sv against cocotbext-axi's independent masters, and its timing to the cycle."""

import itertools
import os
import random
from pathlib import Path

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

from hdl.bus.axi import numbered
from quantflow.cycles import MemoryTiming
from quantflow.striping import joined, stripes
from sim.simulator import build
from sim.testbench import memory_inputs, memory_source, read_words, write_words

SIZE_BYTES = 1 << 16
LATENCY = 10
INPUTS = {"latency": 32, "bandwidth": 32, "stalls": 8, "seed": 32, "error_first": 32, "error_last": 32}
INPUTS |= {"backdoor_load": 1, "backdoor_store": 1, "backdoor_first": 32, "backdoor_last": 32}
TOP = "memory_bench"


def bench_source(ports, data_width):
    """A module with one set of ports per port, for bus models, around the memory with its vectors."""
    address = {"id": 1, "addr": 32, "len": 8, "size": 3, "burst": 2, "valid": 1}
    inputs = {channel + name: width for channel in ("ar", "aw") for name, width in address.items()}
    inputs |= {"rready": 1, "wdata": data_width, "wstrb": data_width // 8, "wlast": 1, "wvalid": 1, "bready": 1}
    outputs = {"arready": 1, "awready": 1, "rid": 1, "rdata": data_width, "rresp": 2, "rlast": 1, "rvalid": 1}
    outputs |= {"wready": 1, "bid": 1, "bresp": 2, "bvalid": 1}
    prefixes = [numbered("s_axi_", port) for port in range(ports)]
    lines = [f"input wire [{width - 1}:0] {name}" for name, width in INPUTS.items()]
    for direction, signals in (("input", inputs), ("output", outputs)):
        lines += [f"{direction} wire [{w - 1}:0] {prefix}{name}" for prefix in prefixes for name, w in signals.items()]
    connections = [f".{name}({name})" for name in ("clk", "rst", *INPUTS)]
    for name in (*inputs, *outputs):
        connections.append(f".s_axi_{name}({{{', '.join(prefix + name for prefix in reversed(prefixes))}}})")
    return (
        memory_source(PORTS=ports, DATA_WIDTH=data_width, SIZE_BYTES=SIZE_BYTES)
        + f"module {TOP} (input wire clk, input wire rst, {', '.join(lines)});\n"
        + f"axi_memory memory ({', '.join(connections)});\nendmodule\n"
    )


class Bench:
    """The memory out of reset, and a master for each of its ports."""

    def __init__(self, dut):
        self.dut, self.ports = dut, int(os.environ["PORTS"])
        self.width = len(dut.s_axi_rdata) // 8

    async def start(self, timing=None, *, stalls=0, masters=True, pauses=None, **inputs):
        dut = self.dut
        Clock(dut.clk, 10, unit="ns").start()
        settings = memory_inputs(timing or MemoryTiming(latency=LATENCY), stalls) | inputs
        for name in INPUTS:
            getattr(dut, name).value = settings.get(name, 0)
        prefixes = [numbered("s_axi_", port) for port in range(self.ports)]
        dut.rst.value = 1
        if masters:
            buses = [AxiBus.from_prefix(dut, prefix[:-1]) for prefix in prefixes]
            self.masters = [AxiMaster(bus, dut.clk, dut.rst) for bus in buses]
        else:
            for prefix in prefixes:
                for name in ("awvalid", "wvalid", "bready", "arvalid", "arid", "rready"):
                    getattr(dut, prefix + name).value = 0
        for _ in range(4):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        if pauses:
            for master in self.masters:
                read, write = master.read_if, master.write_if
                for channel in (read.ar_channel, read.r_channel, write.aw_channel, write.w_channel, write.b_channel):
                    channel.set_pause_generator(_pauses(random.Random(pauses.random())))
        return self

    async def pulse(self, signal):
        signal.value = 1
        await RisingEdge(self.dut.clk)
        signal.value = 0
        await RisingEdge(self.dut.clk)


def _pauses(generator):
    return (generator.random() < 0.4 for _ in itertools.count())


async def traffic(bench, generator, rounds):
    """Each port writes and reads its own part of the memory, all at once, and at last reads all."""
    model, part = bytearray(generator.randbytes(SIZE_BYTES)), SIZE_BYTES // bench.ports
    write_words(Path("memory_load.hex"), [(0, model)], bench.width)
    await bench.pulse(bench.dut.backdoor_load)

    async def use(port):
        half, choices = part // 2, random.Random(generator.random())
        for _ in range(rounds):
            # The two halves take turns, so that a read's expected bytes do not depend on their race.
            regions = [port * part + n * half for n in choices.sample((0, 1), 2)]
            length = choices.randrange(1, 2000)
            address = regions[0] + choices.randrange(half - length)
            data = choices.randbytes(length)
            write = cocotb.start_soon(bench.masters[port].write(address, data))
            read_length = choices.randrange(1, 2000)
            read_address = regions[1] + choices.randrange(half - read_length)
            read = await bench.masters[port].read(read_address, read_length)
            assert read.data == bytes(model[read_address : read_address + read_length])
            assert (await write).resp == AxiResp.OKAY
            model[address : address + length] = data

    for task in [cocotb.start_soon(use(port)) for port in range(bench.ports)]:
        await task
    for master in bench.masters:
        assert (await master.read(0, SIZE_BYTES)).data == bytes(model)


@cocotb.test(timeout_time=4000, timeout_unit="us")
async def random_traffic(dut):
    """Concurrent writes and reads of random length and alignment, the masters pausing at random."""
    generator = random.Random(1)
    bench = await Bench(dut).start(pauses=generator)
    await traffic(bench, generator, 12)


@cocotb.test(timeout_time=4000, timeout_unit="us")
async def random_stalls_and_little_bandwidth(dut):
    """The same with a memory that stands still at random, is far away and slow."""
    generator = random.Random(3)
    timing = MemoryTiming(latency=150, bytes_per_cycle=5.3)
    await traffic(await Bench(dut).start(timing, stalls=0.3, seed=9), generator, 4)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def refused(dut):
    """Beats outside the memory answer SLVERR, read 0, change nothing; so do other burst types."""
    bench = await Bench(dut).start()
    for master in bench.masters:
        await master.write(SIZE_BYTES - 8, bytes(range(8)))
        assert (await master.read(SIZE_BYTES, 8)).resp == AxiResp.SLVERR
        both_sides = await master.read(SIZE_BYTES - 8, 16)
        assert both_sides.resp == AxiResp.SLVERR and both_sides.data == bytes(range(8)) + bytes(8)
        assert (await master.write(SIZE_BYTES + 64, bytes(8))).resp == AxiResp.SLVERR
        assert (await master.write(0, bytes(16), size=1)).resp == AxiResp.SLVERR
        assert (await master.read(0, 16, size=1)).resp == AxiResp.SLVERR
        assert (await master.read(SIZE_BYTES - 8, 8)).data == bytes(range(8))


@cocotb.test(timeout_time=200, timeout_unit="us")
async def a_range_of_errors(dut):
    bench = Bench(dut)
    first, last = 512 // bench.width, 1024 // bench.width - 1
    await bench.start(error_first=first, error_last=last)
    master = bench.masters[-1]
    for address, response in ((480, AxiResp.OKAY), (512, AxiResp.SLVERR), (992, AxiResp.SLVERR), (1024, AxiResp.OKAY)):
        assert (await master.write(address, bytes(32))).resp == response
        assert (await master.read(address, 32)).resp == response


async def stream(bench, bursts, beats_per_burst, *, writes=False):
    """All ports read, or also write, `bursts` bursts; (AR handshake of port 0, its beats' cycles, the last beat)."""
    dut, names = bench.dut, [numbered("s_axi_", port) for port in range(bench.ports)]
    part = SIZE_BYTES // bench.ports
    moved = {name: [] for prefix in names for name in (f"{prefix}r", *([f"{prefix}w"] if writes else []))}
    left = {name: bursts for prefix in names for name in (f"{prefix}ar", *([f"{prefix}aw"] if writes else []))}
    started, cycle = {}, 0
    for port, prefix in enumerate(names):
        for channel in ("ar", "aw"):
            getattr(dut, f"{prefix}{channel}size").value = bench.width.bit_length() - 1
            getattr(dut, f"{prefix}{channel}burst").value = 1
            getattr(dut, f"{prefix}{channel}len").value = beats_per_burst - 1
            getattr(dut, f"{prefix}{channel}addr").value = port * part
        for name in ("rready", "bready"):
            getattr(dut, prefix + name).value = 1
        getattr(dut, f"{prefix}wlast").value = beats_per_burst == 1
    for channel in left:
        getattr(dut, f"{channel}valid").value = 1
    for name in moved:
        if name.endswith("w"):
            getattr(dut, f"{name}valid").value = 1
    wanted = bursts * beats_per_burst
    while any(len(beats) < wanted for beats in moved.values()):
        await RisingEdge(dut.clk)
        for name, beats in moved.items():
            if getattr(dut, f"{name}valid").value == 1 and getattr(dut, f"{name}ready").value == 1:
                beats.append(cycle)
                if name.endswith("w"):
                    getattr(dut, f"{name}last").value = len(beats) % beats_per_burst == beats_per_burst - 1
                    getattr(dut, f"{name}valid").value = len(beats) < wanted
        for channel in left:
            if left[channel] and getattr(dut, f"{channel}ready").value == 1:
                started.setdefault(channel, cycle)
                left[channel] -= 1
                getattr(dut, f"{channel}valid").value = left[channel] > 0
        cycle += 1
    first = started[f"{names[0]}ar"]
    return first, moved[f"{names[0]}r"], max(beats[-1] for beats in moved.values())


@cocotb.test(timeout_time=200, timeout_unit="us")
async def read_timing(dut):
    """Beat n of back-to-back bursts comes exactly when the documented formula says."""
    bench = await Bench(dut).start(masters=False)
    first, arrivals, _ = await stream(bench, 8, 512 // bench.width)
    assert arrivals == [first + LATENCY + n for n in range(8 * 512 // bench.width)]


@cocotb.test(timeout_time=500, timeout_unit="us")
async def bandwidth_is_shared(dut):
    """Reads alone, then reads and writes of all ports: together as many bytes per cycle as told, and no fewer."""
    bench = Bench(dut)
    full = bench.ports * bench.width
    for rate in (0.8 * full, 1.75 * full / 2, 0.4 * full):
        for writes in (False, True):
            await bench.start(MemoryTiming(latency=LATENCY, bytes_per_cycle=rate), masters=False)
            bursts, beats = 8, 1024 // bench.width
            first, _, last = await stream(bench, bursts, beats, writes=writes)
            moved = bursts * beats * full * (2 if writes else 1)
            ideal = moved / min(rate, full)
            assert ideal - 3 <= last - first <= ideal + 3 + 2 * LATENCY, (rate, writes)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def backdoor(dut):
    """What a file loads, the bus reads; what the bus writes, a file shows."""
    generator = random.Random(2)
    bench = await Bench(dut).start()
    width, master = bench.width, bench.masters[-1]
    image = generator.randbytes(40 * width + 3)
    write_words(Path("memory_load.hex"), [(1024, image), (16384, image[:width])], width)
    await bench.pulse(dut.backdoor_load)
    assert (await master.read(1024, len(image))).data == image
    assert (await master.read(16384, width)).data == image[:width]
    await master.write(1024 + width, image[::-1])
    dut.backdoor_first.value = 1024 // width
    dut.backdoor_last.value = 1024 // width + 41
    await bench.pulse(dut.backdoor_store)
    stored = read_words(Path("memory_store.hex"), width)
    assert stored[:width] == image[:width]
    assert stored[width : width + len(image)] == image[::-1]


@pytest.mark.parametrize(("ports", "data_width"), [(1, 64), (2, 32), (4, 64)])
def test_axi_memory(tmp_path, ports, data_width):
    simulator = os.environ.get("QUANTFLOW_TEST_SIMULATOR", "verilator")
    built = build(bench_source(ports, data_width), top=TOP, simulator=simulator, closed=True)
    built.run(__name__, folder=tmp_path, environment={"PORTS": str(ports)})


@pytest.mark.parametrize(("ports", "port_bytes"), [(1, 4), (2, 8), (4, 4)])
def test_stripes(ports, port_bytes):
    beat = ports * port_bytes
    data = bytes(range(3 * beat - 1))
    parts = stripes(5 * beat, data, ports=ports, port_bytes=port_bytes, stride=0x1000)
    assert [address for address, _ in parts] == [port * 0x1000 + 5 * port_bytes for port in range(ports)]
    for port, (_, part) in enumerate(parts):
        assert part[port_bytes : 2 * port_bytes] == data[beat + port * port_bytes :][:port_bytes]
    assert joined([part for _, part in parts], port_bytes) == data + b"\0"
