"""SerialCrc against zlib: the CRC's bytes, and whether a CRC behind its data is known."""

import random
from zlib import crc32

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.system.frames import BYTE_BITS
from hdl.system.serial_crc import SerialCrc
from sim.bench import run_bench
from tests.hdl.streams import reset


async def begin(dut):
    dut.user__start.value = 1
    await RisingEdge(dut.clk)
    dut.user__start.value = 0


async def feed(dut, byte):
    """A byte; returns when it has gone in."""
    dut.user__data.value, dut.user__valid.value = byte, 1
    await RisingEdge(dut.clk)
    dut.user__valid.value = 0
    for cycles in range(2 * BYTE_BITS):
        await RisingEdge(dut.clk)
        if int(dut.user__ready.value):
            assert cycles == BYTE_BITS
            return
    raise AssertionError("never ready")


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def crc_of_bytes(dut):
    rng = random.Random(1)
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, user__start=0, user__valid=0)
    for _ in range(20):
        data = rng.randbytes(rng.randint(1, 20))
        expected = crc32(data).to_bytes(4, "little")
        await begin(dut)
        if rng.random() < 0.3:
            await feed(dut, 0x5A)
            await begin(dut)  # forgets it
        for byte in data:
            await feed(dut, byte)
        if rng.random() < 0.5:  # as at the end of a reply
            for byte in expected:
                assert int(dut.user__byte.value) == byte
                await feed(dut, byte ^ 0xFF)
        else:  # as at the end of a request
            wrong = rng.choice([0, 1 << rng.randrange(32)])
            for byte in (crc32(data) ^ wrong).to_bytes(4, "little"):
                await feed(dut, byte)
            assert int(dut.user__match_detected.value) == (wrong == 0)


def test_serial_crc(tmp_path):
    run_bench(SerialCrc(), __name__, tmp_path)
