"""Receiver and Transmitter against cocotbext-uart, and against lines that are off, broken or noisy."""

import logging
import random

import cocotb
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.uart import UartSink, UartSource

from hdl.system.uart import Receiver, Transmitter
from sim.bench import run_bench
from tests.hdl.streams import reset, send, until_holds

CYCLE_NS = 10


class Both(wiring.Component):
    """A receiver and a transmitter side by side."""

    def __init__(self):
        receiver, transmitter = Receiver().signature.members, Transmitter().signature.members
        super().__init__({
            **{f"rx_{name}": member for name, member in receiver.items()},
            **{f"tx_{name}": member for name, member in transmitter.items()},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver()
        m.submodules.transmitter = transmitter = Transmitter()
        for name in ("line", "bit_cycles"):
            m.d.comb += getattr(receiver, name).eq(getattr(self, f"rx_{name}"))
        for name in ("byte", "received", "framing_error", "receiving", "bit_time"):
            m.d.comb += getattr(self, f"rx_{name}").eq(getattr(receiver, name))
        m.d.comb += [transmitter.bit_cycles.eq(self.tx_bit_cycles), self.tx_line.eq(transmitter.line)]
        connect(m, flipped(self.tx_bytes), transmitter.bytes)
        return m


async def start(dut, bit_cycles):
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    Clock(dut.clk, CYCLE_NS, unit="ns").start()
    given = {"rx_line": 1, "rx_bit_cycles": bit_cycles, "tx_bit_cycles": bit_cycles, "tx_bytes__valid": 0}
    await reset(dut, **given)
    events = []
    cocotb.start_soon(note(dut, events))
    return events


async def note(dut, events):
    """Append each byte, and None for each framing error."""
    while True:
        await RisingEdge(dut.clk)
        assert not (int(dut.rx_received.value) and int(dut.rx_framing_error.value))
        if int(dut.rx_received.value):
            assert int(dut.rx_receiving.value)
            events.append(int(dut.rx_byte.value))
        if int(dut.rx_framing_error.value):
            events.append(None)


async def put(dut, byte, bit_ns, *, stop=1):
    for bit in (0, *(byte >> n & 1 for n in range(8)), stop):
        dut.rx_line.value = bit
        await Timer(bit_ns, "ns")


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def bytes_arrive(dut):
    rng = random.Random(1)
    for bit_cycles in (8, 25, 100):
        events = await start(dut, bit_cycles)
        source = UartSource(dut.rx_line, baud=1e9 / (bit_cycles * CYCLE_NS), bits=8)
        data = rng.randbytes(30)
        await source.write(data[:20])
        await source.wait()
        await ClockCycles(dut.clk, rng.randrange(3 * bit_cycles))
        await source.write(data[20:])
        await source.wait()
        await ClockCycles(dut.clk, bit_cycles)
        assert bytes(events) == data
        source._run_cr.cancel()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_sender_may_be_three_percent_off(dut):
    events, bit_cycles = await start(dut, 40), 40
    data = random.Random(2).randbytes(20)
    for wrong in (0.97, 1.03):
        del events[:]
        for byte in data:
            await put(dut, byte, round(bit_cycles * CYCLE_NS * wrong))
        await ClockCycles(dut.clk, bit_cycles)
        assert bytes(events) == data


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def framing_errors_breaks_and_glitches(dut):
    """A missing stop bit is told once; a break is one error, and nothing until the line is high; a glitch nothing."""
    events, bit = await start(dut, 16), 16 * CYCLE_NS
    await put(dut, 0x5A, bit, stop=0)
    await Timer(5 * bit, "ns")
    assert events == [None] and int(dut.rx_receiving.value)
    await Timer(40 * bit, "ns")
    dut.rx_line.value = 1
    await Timer(2 * bit, "ns")
    assert events == [None] and not int(dut.rx_receiving.value)
    dut.rx_line.value = 0
    await Timer(bit // 4, "ns")
    dut.rx_line.value = 1
    await Timer(12 * bit, "ns")
    assert events == [None] and not int(dut.rx_receiving.value)
    await put(dut, 0xC3, bit)
    await Timer(bit, "ns")
    assert events == [None, 0xC3]


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def bit_times_of_rest_are_counted(dut):
    """`bit_time` pulses once every bit time while the line rests, and never while a character arrives."""
    bit_cycles = 12
    await start(dut, bit_cycles)
    pulses = []

    async def count():
        while True:
            await RisingEdge(dut.clk)
            pulses.append(int(dut.rx_bit_time.value))

    cocotb.start_soon(count())
    await ClockCycles(dut.clk, 20 * bit_cycles)
    assert 19 <= sum(pulses) <= 21
    dut.rx_line.value = 0
    await ClockCycles(dut.clk, 3)
    del pulses[:]
    await ClockCycles(dut.clk, 9 * bit_cycles)
    assert not sum(pulses)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def bytes_are_sent(dut):
    rng = random.Random(3)
    for bit_cycles in (8, 25):
        await start(dut, bit_cycles)
        sink = UartSink(dut.tx_line, baud=1e9 / (bit_cycles * CYCLE_NS), bits=8)
        data = rng.randbytes(20)
        for stall in (0, 0.99):
            await send(dut, "tx_bytes", data, rng, stall)
            received = []
            while len(received) < len(data):
                received += await sink.read()
            assert bytes(received) == data
        sink._run_cr.cancel()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def characters_follow_without_a_pause(dut):
    bit_cycles, falls, before = 10, [], 1
    await start(dut, bit_cycles)
    cocotb.start_soon(send(dut, "tx_bytes", [0xFF] * 4, random.Random(4), 0))
    for cycle in range(50 * bit_cycles):
        await RisingEdge(dut.clk)
        line = int(dut.tx_line.value)
        if before and not line:
            falls.append(cycle)
        before = line
    await until_holds(dut, falls, 4)
    assert all(10 * bit_cycles <= b - a <= 10 * bit_cycles + 1 for a, b in zip(falls, falls[1:], strict=False))


def test_uart(tmp_path):
    run_bench(Both(), __name__, tmp_path)
