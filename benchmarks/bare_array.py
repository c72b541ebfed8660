"""The coroutine that runs benchmarks/bare_array.sv, or any clock: it wakes at the beginning and at the end only."""

import json
import os
import time
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Timer

from sim.host import CLOCK_NS

CYCLES = "QUANTFLOW_CYCLES"  # environment variable: how many to run
RESULT = "result.json"
RESET_CYCLES = 4


@cocotb.test()
async def run_cycles(dut):
    """Run the clock; leave the cycles and the processor's seconds that they took in RESULT."""
    cycles = int(os.environ[CYCLES])
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    dut.rst.value = 1
    await Timer(RESET_CYCLES * CLOCK_NS, "ns")
    dut.rst.value = 0
    before = time.process_time()
    await Timer(cycles * CLOCK_NS, "ns")
    Path(RESULT).write_text(json.dumps({"cycles": cycles, "seconds": time.process_time() - before}))
