"""Control behind cocotbext-axi's AXI4-Lite master: registers, runs, errors, counters."""

import itertools
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from hdl.bus.axi import named_ports
from hdl.control.control import UNIT_ERRORS, Control
from hdl.control.performance_counters import EVENTS
from quantflow.config import Config
from quantflow.registers import (
    BASE_REGISTERS,
    BUSY,
    COUNTERS,
    DONE,
    FAILED,
    START,
    STOP,
    UNBOUNDED,
    Error,
    Register,
    identity,
)
from sim.bench import run_bench
from tests.hdl.streams import reset, until

CONFIG = Config(pixels=3, lanes=4, port_bits=32, ports=2, watchdog_cycles=300, profile_depth=40)
BASES = [Register.BASE + 4 * n for n in range(BASE_REGISTERS)]
SIZES = [Register.REGION_SIZE + 4 * n for n in range(BASE_REGISTERS)]
PORT_BASES = [Register.PORT_BASE + 4 * n for n in range(CONFIG.ports)]
SETTINGS = (Register.PROGRAM_ADDRESS, Register.PROGRAM_LENGTH, *BASES, *SIZES, *PORT_BASES)
INPUTS = dict(finished=0, memory_idle=1, errors=0, events=0, progress=1)


class Host:
    """Register accesses with every AXI channel pausing at random, and a look at the outputs."""

    def __init__(self, dut, seed):
        self.dut, self.rng = dut, random.Random(seed)
        self.starts, self.clears, self.flushes = 0, 0, 0

    async def begin(self):
        Clock(self.dut.clk, 10, unit="ns").start()
        await reset(self.dut, **INPUTS)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(self.dut, "s_axil"), self.dut.clk, self.dut.rst)
        write, read = self.master.write_if, self.master.read_if
        channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
        for channel in channels:
            channel.set_pause_generator(self.rng.random() < 0.4 for _ in itertools.count())
        cocotb.start_soon(self.watch())
        return self

    async def watch(self):
        while True:
            await RisingEdge(self.dut.clk)
            self.starts += int(self.dut.start.value)
            self.clears += int(self.dut.clear.value)
            self.flushes += int(self.dut.flush.value)

    async def write(self, register, value):
        answer = await self.master.write(int(register), value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY

    async def read(self, register):
        answer = await self.master.read(int(register), 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def start(self):
        """Start a run, return in its first cycle's successor."""
        before = self.starts
        await self.write(Register.CONTROL, START)
        await until(self.dut, lambda: self.starts > before)

    async def finish(self):
        self.dut.finished.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.finished.value = 0

    async def pulse(self, name, value=1):
        signal = getattr(self.dut, name)
        signal.value = value
        await RisingEdge(self.dut.clk)
        signal.value = 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def registers_keep_what_is_written(dut):
    host = await Host(dut, 51).begin()
    model = {address: 0 for address in range(0, 256, 4)}
    model |= {Register.IDENTITY: identity(CONFIG)} | dict.fromkeys(SIZES, UNBOUNDED)
    for _ in range(150):
        address, size = host.rng.choice([*SETTINGS, *SETTINGS, *range(4, 256, 4)]), host.rng.randint(1, 4)
        offset, value = host.rng.randint(0, 4 - size), host.rng.getrandbits(32)
        data = value.to_bytes(4, "little")[:size]
        assert (await host.master.write(address + offset, data)).resp == AxiResp.OKAY
        if address in SETTINGS:
            word = bytearray(model[address].to_bytes(4, "little"))
            word[offset : offset + size] = data
            model[address] = int.from_bytes(word, "little")
        elif address == Register.INTERRUPT_ENABLE and offset == 0:
            model[address] = value & 1
    for address, value in model.items():
        assert await host.read(address) == value, f"register {address:#x}"
    assert int(dut.program_address.value) == model[Register.PROGRAM_ADDRESS]
    assert int(dut.program_length.value) == model[Register.PROGRAM_LENGTH]
    for registers, port in ((BASES, dut.bases), (SIZES, dut.region_sizes), (PORT_BASES, dut.port_bases)):
        assert port.value.to_unsigned() == sum(model[one] << (32 * n) for n, one in enumerate(registers))
    assert not host.starts and not host.clears


async def random_events(dut, rng, cycles):
    """Drive events for a run of so many cycles; returns the counters' values by their registers, and the
    values of CYCLES at which compute instructions retired.

    `finished` is high before the run and in its first cycle, where it must not end it, and then
    in its last but one.
    """
    counts, retirements = dict.fromkeys(COUNTERS, 0), []
    dut.finished.value = 1
    left = None
    while left != 0:
        events = rng.getrandbits(len(EVENTS))
        dut.events.value = events
        await RisingEdge(dut.clk)
        if dut.start.value == 1:
            left = cycles
        if left is None:
            continue
        left -= 1
        dut.finished.value = left == 2
        retirements += [counts[Register.CYCLES]] * (events >> EVENTS.index("compute_retired") & 1)
        counts[Register.CYCLES] += 1
        for n, name in enumerate(EVENTS):
            counts[Register[name.upper()]] += (events >> n) & 1
    return counts, retirements


@cocotb.test(timeout_time=500, timeout_unit="us")
async def counts_a_run(dut):
    host = await Host(dut, 52).begin()
    await host.write(Register.INTERRUPT_ENABLE, 1)
    for run, cycles in enumerate((3, 57, 230), start=1):
        events = cocotb.start_soon(random_events(dut, host.rng, cycles))
        await host.write(Register.CONTROL, START)
        counts, retirements = await events
        await ClockCycles(dut.clk, 2)
        assert dut.interrupt.value == 1
        for register, count in counts.items():
            assert await host.read(register) == count, f"{register.name} after {cycles} cycles"
        assert await host.read(Register.STATUS) == DONE
        known = retirements[: CONFIG.profile_depth]
        assert (len(retirements) > CONFIG.profile_depth) == (run == 3), "the last run has more than there is room for"
        for n, cycle in host.rng.sample(list(enumerate(known)), len(known)):
            await host.write(Register.PROFILE_INDEX, n)
            assert await host.read(Register.PROFILE_CYCLES) == cycle, f"retirement {n} of run {run}"
        assert (host.starts, host.clears, host.flushes) == (run, run, 0)
    await host.write(Register.INTERRUPT_ENABLE, 0)
    assert dut.interrupt.value == 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def busy_machine_keeps_its_settings(dut):
    host = await Host(dut, 53).begin()
    for n, address in enumerate(SETTINGS):
        await host.write(address, n + 1)
    await host.start()
    for address in SETTINGS:
        await host.write(address, 0xFFFF_FFFF)
    await host.write(Register.CONTROL, START)
    assert await host.read(Register.STATUS) == BUSY
    for n, address in enumerate(SETTINGS):
        assert await host.read(address) == n + 1
    assert host.starts == 1
    await host.finish()
    assert await host.read(Register.STATUS) == DONE
    assert await host.read(Register.CONTROL) == 0


async def stopping(host, error):
    """The machine stops with `error`, waits for memory, and can be started again."""
    dut = host.dut
    await ClockCycles(dut.clk, 2)
    assert dut.clear.value == 1 and dut.flush.value == 1
    dut.errors.value = (1 << len(UNIT_ERRORS)) - 1  # what follows does not count
    dut.finished.value = 1
    assert await host.read(Register.STATUS) == BUSY
    assert await host.read(Register.ERROR) == error
    assert dut.interrupt.value == 0
    await host.pulse("memory_idle")  # not for one cycle only
    assert await host.read(Register.STATUS) == BUSY
    dut.memory_idle.value = 1
    await ClockCycles(dut.clk, 3)
    dut.errors.value = dut.finished.value = 0
    assert dut.clear.value == 0 and dut.flush.value == 0 and dut.interrupt.value == 1
    assert await host.read(Register.STATUS) == FAILED
    assert await host.read(Register.ERROR) == error
    await host.start()
    assert await host.read(Register.STATUS) == BUSY
    assert await host.read(Register.ERROR) == Error.NONE
    await host.finish()
    assert await host.read(Register.STATUS) == DONE


@cocotb.test(timeout_time=500, timeout_unit="us")
async def stops_at_each_error(dut):
    host = await Host(dut, 54).begin()
    await host.write(Register.INTERRUPT_ENABLE, 1)
    await host.pulse("errors", 1)  # nothing runs: ignored
    await host.write(Register.CONTROL, STOP)
    assert await host.read(Register.STATUS) == 0
    for n, name in enumerate(UNIT_ERRORS):
        await host.start()
        dut.memory_idle.value = 0
        above = host.rng.getrandbits(len(UNIT_ERRORS)) << (n + 1)  # the lowest of several counts
        await host.pulse("errors", (1 << n) | (above & ((1 << len(UNIT_ERRORS)) - 1)))
        await stopping(host, Error[name.upper()])


@cocotb.test(timeout_time=500, timeout_unit="us")
async def stops_for_the_host(dut):
    host = await Host(dut, 55).begin()
    await host.write(Register.INTERRUPT_ENABLE, 1)
    await host.start()
    dut.memory_idle.value = 0
    await host.write(Register.CONTROL, STOP)
    await stopping(host, Error.STOPPED)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def stops_without_progress(dut):
    host = await Host(dut, 56).begin()
    await host.write(Register.INTERRUPT_ENABLE, 1)
    await host.start()
    dut.memory_idle.value = 0
    dut.progress.value = 0
    await ClockCycles(dut.clk, CONFIG.watchdog_cycles - 1)
    assert dut.flush.value == 0
    await host.pulse("progress")
    assert host.flushes == 0
    waited = await until(dut, lambda: host.flushes)
    assert 0 <= waited - CONFIG.watchdog_cycles <= 4  # progress and verdict pass registers
    dut.progress.value = 1
    await stopping(host, Error.WATCHDOG)


def test_control(tmp_path):
    control = Control(CONFIG)
    run_bench(control, __name__, tmp_path, ports=named_ports(control, {"axi": "s_axil_"}))
