"""The simulator's side of tests/sim/machines.py: orders in, answers out, one process for many runs."""

import os
from multiprocessing.connection import Client

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge

from quantflow.registers import COUNTERS, START, STOP, Register
from sim.host import CLOCK_NS, Host

SOCKET = "QUANTFLOW_TEST_SOCKET"  # environment variable: where the orders come from


class Server(Host):
    """Performs the orders that tests/sim/machines.py documents."""

    async def order_reset(self, memory):
        self.job["memory"] = memory
        await self.reset()
        self.written = {}

    async def order_set(self, memory):
        for name, value in memory.items():
            getattr(self.dut, name).value = value
        await RisingEdge(self.dut.clk)

    async def order_load(self, sections):
        await self.load_memory(sections)

    async def order_store(self, address, size):
        return await self.store_memory(address, size)

    async def order_run(self, registers, limit, stop_after=None, reset_after=None):
        for register, value in registers.items():
            if self.written.get(register) != value:
                await self.write(register, value)
                self.written[register] = value
        first = self.dut.cycle.value.to_unsigned()
        await self.write(Register.CONTROL, START)
        if reset_after is not None:
            await ClockCycles(self.dut.clk, reset_after)
            await self.order_reset(self.job["memory"])
            return {"status": await self.read(Register.STATUS)}
        if stop_after is not None:
            await ClockCycles(self.dut.clk, stop_after)
            await self.write(Register.CONTROL, STOP)
        if self.dut.interrupt.value == 0:
            await First(RisingEdge(self.dut.interrupt), ClockCycles(self.dut.clk, limit))
        result = {
            "ended": self.dut.interrupt.value == 1,
            "status": await self.read(Register.STATUS),
            "error": await self.read(Register.ERROR),
            "simulated_cycles": self.dut.cycle.value.to_unsigned() - first,
        }
        for register in COUNTERS:
            result[register.name.lower()] = await self.read(register)
        return result

    async def order_profile(self, count):
        records = []
        for index in range(count):
            await self.write(Register.PROFILE_INDEX, index)
            records.append(await self.read(Register.PROFILE_CYCLES))
        return records


@cocotb.test()
async def serve(dut):
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    with Client(os.environ[SOCKET]) as connection:
        server = Server(dut, connection.recv())
        await server.reset()
        server.written = {}
        while (order := connection.recv()) is not None:
            name, arguments = order
            connection.send(await getattr(server, f"order_{name}")(**arguments))
