"""The host of a simulated machine, as a cocotb coroutine: what a driver does on a real board.

It runs inside the simulator, started by sim/inference.py, and works off `job.json` in the
simulation's folder. Python acts at the edges of an inference only: it fills the memory, writes
registers, sleeps until the interrupt (or the testbench's watchdog) and reads the results.
"""

import json
import time
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import First, RisingEdge, with_timeout

from quantflow.isa import Unit
from quantflow.manifest import MODEL, TRACE
from quantflow.registers import BUSY, COUNTERS, DONE, FAILED, START, Register
from quantflow.striping import joined, stripes
from sim.testbench import LOAD_FILE, STORE_FILE, read_words, write_words

CLOCK_NS = 10
RESET_CYCLES = 4
ACCESS_TIMEOUT_NS = 1000 * CLOCK_NS  # the control port answers within a few cycles, or never


class Host:
    """Register accesses and memory transfers on sim/testbench.sv's ports."""

    def __init__(self, dut, job):
        self.dut, self.job = dut, job

    async def reset(self):
        dut = self.dut
        for name in (
            "s_axil_awaddr", "s_axil_awvalid", "s_axil_wdata", "s_axil_wvalid", "s_axil_bready",
            "s_axil_araddr", "s_axil_arvalid", "s_axil_rready", "backdoor_load", "backdoor_store",
            "backdoor_first", "backdoor_last", "rearm", "waves_by_compute", "waves_first", "waves_last",
        ):  # fmt: skip
            getattr(dut, name).value = 0
        for name, value in self.job["memory"].items():
            getattr(dut, name).value = value
        dut.rst.value = 1
        for _ in range(RESET_CYCLES):
            await RisingEdge(dut.clk)
        dut.rst.value = 0

    async def write(self, register, value):
        """One AXI4-Lite write."""
        dut = self.dut
        dut.s_axil_awaddr.value, dut.s_axil_wdata.value = int(register), value
        dut.s_axil_awvalid.value = dut.s_axil_wvalid.value = dut.s_axil_bready.value = 1
        address = cocotb.start_soon(self._handshake(dut.s_axil_awvalid, dut.s_axil_awready))
        data = cocotb.start_soon(self._handshake(dut.s_axil_wvalid, dut.s_axil_wready))
        await self._handshake(dut.s_axil_bready, dut.s_axil_bvalid)
        await address
        await data

    async def read(self, register):
        dut = self.dut
        dut.s_axil_araddr.value = int(register)
        dut.s_axil_arvalid.value = dut.s_axil_rready.value = 1
        address = cocotb.start_soon(self._handshake(dut.s_axil_arvalid, dut.s_axil_arready))
        value = await self._handshake(dut.s_axil_rready, dut.s_axil_rvalid, dut.s_axil_rdata)
        await address
        return value

    async def _handshake(self, ours, theirs, data=None):
        """Keep our side high until a clock edge with theirs high; returns what `data` was at it."""
        while True:
            await RisingEdge(self.dut.clk)  # shows the values that the edge samples
            if _is_high(theirs):
                ours.value = 0
                return data.value.to_unsigned() if data is not None else None

    async def load_memory(self, sections):
        """Put bytes into the machine's memory: pairs of byte address and bytes."""
        parts = [part for section in sections for part in stripes(*section, **self.job["ports"])]
        write_words(Path(LOAD_FILE), parts, self.job["ports"]["port_bytes"])
        await self._pulse(self.dut.backdoor_load)

    async def store_memory(self, address, size):
        """Bytes [address, address + size) of the machine's memory; both multiples of the beat of all ports."""
        ports, stride, width = (self.job["ports"][name] for name in ("ports", "stride", "port_bytes"))
        parts = []
        for port in range(ports):
            first = (port * stride + address // ports) // width
            self.dut.backdoor_first.value = first
            self.dut.backdoor_last.value = first + size // ports // width - 1
            await self._pulse(self.dut.backdoor_store)
            parts.append(read_words(Path(STORE_FILE), width))
        return joined(parts, width)

    async def _pulse(self, signal):
        await RisingEdge(self.dut.clk)
        signal.value = 1
        await RisingEdge(self.dut.clk)  # samples the pulse; what follows from it shows at the next edge
        signal.value = 0
        await RisingEdge(self.dut.clk)

    async def wait_for_end(self):
        """Sleep until the interrupt; False where the machine stands still instead."""
        steps = None
        while not _is_high(self.dut.interrupt):
            await First(RisingEdge(self.dut.interrupt), RisingEdge(self.dut.stalled))
            if _is_high(self.dut.interrupt):
                break
            # A long compute instruction shows neither beats nor retirements, but it takes steps.
            before, steps = steps, await self.read(Register.COMPUTE_STEPS)
            if steps == before:
                return False
            await self._pulse(self.dut.rearm)
        return True

    def record_waves(self, cycle):
        """Tell the testbench the window of the first run, which begins in this cycle."""
        window, self.job["waves"] = self.job["waves"], None
        if window:
            begin = 0 if window["by_compute"] else cycle
            self.dut.waves_by_compute.value = window["by_compute"]
            self.dut.waves_first.value, self.dut.waves_last.value = begin + window["first"], begin + window["last"]

    async def infer(self, program):
        """Run one program; returns what the registers say afterwards, as a dict for JSON."""
        await self.write(Register.PROGRAM_ADDRESS, program["address"])
        await self.write(Register.PROGRAM_LENGTH, program["length"])
        await self._pulse(self.dut.rearm)
        started, first_cycle = time.perf_counter(), self.dut.cycle.value.to_unsigned()
        processor_started = time.process_time()
        self.record_waves(first_cycle)
        await self.write(Register.CONTROL, START)
        finished = await self.wait_for_end()
        status = await self.read(Register.STATUS)
        result = {
            "finished": finished and status & (BUSY | DONE | FAILED) == DONE,
            "status": status,
            "error": await self.read(Register.ERROR),
            "simulated_cycles": self.dut.cycle.value.to_unsigned() - first_cycle,
            "seconds": time.perf_counter() - started,
            "processor_seconds": time.process_time() - processor_started,
            "busy": self._units(self.dut.busy),
            "waiting": self._units(self.dut.waiting),
        }
        for register in COUNTERS:
            result[register.name.lower()] = await self.read(register)
        return result

    def _units(self, signal):
        bits = signal.value.to_unsigned() if signal.value.is_resolvable else 0
        return [unit.name.lower() for unit in Unit if bits >> unit & 1]


@cocotb.test()
async def work_off_job(dut):
    """Load the model, then for each run: the input, the program, the outputs, one line of results."""
    job = json.loads(Path("job.json").read_text())
    inputs = Path("inputs.bin").read_bytes()
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    host = Host(dut, job)
    await host.reset()
    identity = await with_timeout(host.read(Register.IDENTITY), ACCESS_TIMEOUT_NS, "ns")
    if identity != job["identity"]:
        _report({"identity": identity})
        return
    for port in range(job["ports"]["ports"]):
        await host.write(Register.PORT_BASE + 4 * port, port * job["ports"]["stride"])
    (model, _), (input_, _), (results, _), _ = job["regions"]
    await host.load_memory([(model, Path(MODEL).read_bytes()), (job["trace_address"], Path(TRACE).read_bytes())])
    for index, (base, size) in enumerate(job["regions"]):
        await host.write(Register.BASE + 4 * index, base)
        await host.write(Register.REGION_SIZE + 4 * index, size)
    await host.write(Register.INTERRUPT_ENABLE, 1)
    for run in job["runs"]:
        start = run["image"] * job["input_bytes"]
        await host.load_memory([(input_, inputs[start : start + job["input_bytes"]])])
        result = await host.infer(run["program"])
        if result["finished"]:
            output = await host.store_memory(results, run["output_bytes"])
            with open("outputs.bin", "ab") as file:
                file.write(output)
        _report(result)
        if not result["finished"]:
            return


def _is_high(signal):
    return signal.value.is_resolvable and bool(signal.value)


def _report(result):
    with open("results.jsonl", "a") as file:
        file.write(json.dumps(result) + "\n")
