"""sim/axi_memory.sv against cocotbext-axi's independent master, and its timing to the cycle."""

import itertools
import os
import random
from pathlib import Path

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiMaster, AxiResp

from sim.simulator import build
from sim.testbench import memory_source, read_words, write_words

SIZE_BYTES = 1 << 16
LATENCY, STALL_PERIOD, STALL_CYCLES = 10, 16, 4


async def _reset(dut):
    Clock(dut.clk, 10, unit="ns").start()
    for signal in (dut.backdoor_load, dut.backdoor_store, dut.backdoor_first, dut.backdoor_last):
        signal.value = 0
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


def _master(dut):
    return AxiMaster(AxiBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)


def _pauses(generator):
    return (generator.random() < 0.4 for _ in itertools.count())


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def random_traffic(dut):
    """Concurrent writes and reads of random length and alignment, both sides pausing at random."""
    generator = random.Random(1)
    master = _master(dut)
    await _reset(dut)
    for channel in (
        master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel,
        master.read_if.ar_channel, master.read_if.r_channel,
    ):  # fmt: skip
        channel.set_pause_generator(_pauses(random.Random(generator.random())))
    model = bytearray(SIZE_BYTES)
    half = SIZE_BYTES // 2
    for _ in range(25):
        # The two halves take turns, so that a read's expected bytes do not depend on their race.
        regions = [0, half] if generator.random() < 0.5 else [half, 0]
        length = generator.randrange(1, 3000)
        address = regions[0] + generator.randrange(half - length)
        data = generator.randbytes(length)
        write = cocotb.start_soon(master.write(address, data))
        read_length = generator.randrange(1, 3000)
        read_address = regions[1] + generator.randrange(half - read_length)
        read = await master.read(read_address, read_length)
        assert read.data == bytes(model[read_address : read_address + read_length])
        assert (await write).resp == AxiResp.OKAY
        model[address : address + length] = data
    assert (await master.read(0, SIZE_BYTES)).data == bytes(model)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def refused(dut):
    """Beats outside the memory answer SLVERR, read 0, change nothing; so do other burst types."""
    master = _master(dut)
    await _reset(dut)
    await master.write(SIZE_BYTES - 8, bytes(range(8)))
    assert (await master.read(SIZE_BYTES, 8)).resp == AxiResp.SLVERR
    both_sides = await master.read(SIZE_BYTES - 8, 16)
    assert both_sides.resp == AxiResp.SLVERR and both_sides.data == bytes(range(8)) + bytes(8)
    assert (await master.write(SIZE_BYTES + 64, bytes(8))).resp == AxiResp.SLVERR
    assert (await master.write(0, bytes(16), size=1)).resp == AxiResp.SLVERR
    assert (await master.read(0, 16, size=1)).resp == AxiResp.SLVERR
    assert (await master.read(SIZE_BYTES - 8, 8)).data == bytes(range(8))


def _address(dut, address, beats):
    dut.s_axi_araddr.value = address
    dut.s_axi_arlen.value = beats - 1
    dut.s_axi_arvalid.value = 1


@cocotb.test(timeout_time=200, timeout_unit="us")
async def read_timing(dut):
    """Beat n of back-to-back bursts comes exactly when the documented formula says."""
    width = len(dut.s_axi_rdata) // 8
    for name in ("awvalid", "wvalid", "bready", "arvalid", "arid"):
        getattr(dut, f"s_axi_{name}").value = 0
    await _reset(dut)
    await RisingEdge(dut.clk)
    dut.s_axi_arsize.value = width.bit_length() - 1
    dut.s_axi_arburst.value = 1
    dut.s_axi_rready.value = 1
    bursts = [(n * 1024, 64 * 8 // width) for n in range(8)]
    beats = sum(count for _, count in bursts)
    pending, arrivals, first_handshake, cycle = list(bursts), [], None, 0
    _address(dut, *pending[0])
    while len(arrivals) < beats:
        await RisingEdge(dut.clk)
        if dut.s_axi_rvalid.value:
            arrivals.append(cycle)
        if pending and dut.s_axi_arready.value:
            first_handshake = cycle if first_handshake is None else first_handshake
            pending.pop(0)
            if pending:
                _address(dut, *pending[0])
            else:
                dut.s_axi_arvalid.value = 0
        cycle += 1
    expected = [first_handshake + LATENCY + n + n // STALL_PERIOD * STALL_CYCLES for n in range(beats)]
    assert arrivals == expected
    period = STALL_PERIOD + STALL_CYCLES
    assert arrivals[-1] - first_handshake == LATENCY + beats * period // STALL_PERIOD - 1 - STALL_CYCLES


@cocotb.test(timeout_time=200, timeout_unit="us")
async def backdoor(dut):
    """What a file loads, the bus reads; what the bus writes, a file shows."""
    generator = random.Random(2)
    width = len(dut.s_axi_rdata) // 8
    master = _master(dut)
    await _reset(dut)
    image = generator.randbytes(40 * width + 3)
    write_words(Path("memory_load.hex"), [(1024, image), (16384, image[:width])], width)
    dut.backdoor_load.value = 1
    await RisingEdge(dut.clk)
    dut.backdoor_load.value = 0
    await RisingEdge(dut.clk)
    assert (await master.read(1024, len(image))).data == image
    assert (await master.read(16384, width)).data == image[:width]
    await master.write(1024 + width, image[::-1])
    dut.backdoor_first.value = 1024 // width
    dut.backdoor_last.value = 1024 // width + 41
    dut.backdoor_store.value = 1
    await RisingEdge(dut.clk)
    dut.backdoor_store.value = 0
    await RisingEdge(dut.clk)
    stored = read_words(Path("memory_store.hex"), width)
    assert stored[:width] == image[:width]
    assert stored[width : width + len(image)] == image[::-1]


@pytest.mark.parametrize("data_width", [64, 32])
def test_axi_memory(tmp_path, data_width):
    source = memory_source(
        DATA_WIDTH=data_width, SIZE_BYTES=SIZE_BYTES, LATENCY=LATENCY,
        STALL_PERIOD=STALL_PERIOD, STALL_CYCLES=STALL_CYCLES,
    )  # fmt: skip
    simulator = os.environ.get("QUANTFLOW_TEST_SIMULATOR", "verilator")
    build(source, top="axi_memory", simulator=simulator, closed=True).run(__name__, folder=tmp_path)
