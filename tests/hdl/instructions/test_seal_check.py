"""SealCheck against quantflow.seal, one beat per cycle and with pauses, whole and damaged instructions."""

import os
import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.instructions.seal_check import SealCheck
from quantflow.config import Config
from quantflow.isa import SEAL_BITS, instruction_bits
from quantflow.seal import seal
from sim.bench import run_bench
from tests.hdl.streams import reset

CONFIGS = {
    "32 bits": Config(pixels=1, lanes=4, port_bits=32),
    "256 bits": Config(pixels=7, lanes=16, port_bits=64, ports=4),
}


@cocotb.test(timeout_time=500, timeout_unit="us")
async def damage_shows(dut):
    config, rng = CONFIGS[os.environ["CONFIG"]], random.Random(5)
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, take=0, first=0, beat=0)
    bits, beat_bits = instruction_bits(config), config.beat_bits
    for number in range(200):
        word = int.from_bytes(seal(rng.getrandbits(bits - SEAL_BITS), config, last=bool(number % 2)), "little")
        damage = 0 if number % 3 == 0 else sum(1 << n for n in rng.sample(range(bits), 1 + number % 3))
        for place in range(0, bits, beat_bits):
            while rng.random() < 0.3:
                dut.take.value, dut.beat.value, dut.first.value = 0, rng.getrandbits(beat_bits), rng.getrandbits(1)
                await RisingEdge(dut.clk)
            dut.take.value, dut.first.value = 1, place == 0
            dut.beat.value = (word ^ damage) >> place & ((1 << beat_bits) - 1)
            await RisingEdge(dut.clk)
        dut.take.value = 0
        await RisingEdge(dut.clk)
        assert dut.intact.value == (damage == 0), f"instruction {number}, damage {damage:#x}"


@pytest.mark.parametrize("name", CONFIGS)
def test_seal_check(name, tmp_path):
    run_bench(SealCheck(CONFIGS[name]), __name__, tmp_path, environment={"CONFIG": name})
