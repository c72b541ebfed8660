"""The whole machine on an independent bus model: random stalls, every way to stop, and starting again.

The memory is cocotbext-axi's, a part of it behind each port, and the host its AXI4-Lite master.
"""

import itertools
import os
import random
from dataclasses import replace

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AddressSpace, AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave, MemoryRegion

from hdl.accelerator import AXI_PORTS, Accelerator
from hdl.bus.axi import named_ports, numbered
from quantflow import integer_engine, isa
from quantflow.compiler import compile_network
from quantflow.compiler.image import program_bytes
from quantflow.config import Config
from quantflow.isa import Compute, Load, Store, Unit
from quantflow.registers import BUSY, DONE, FAILED, START, STOP, Error, Register, identity
from quantflow.seal import seal
from quantflow.striping import joined, stripes
from sim.bench import run_bench
from tests.quantflow.networks import RandomNetwork

SMALL = {"activation_depth": 256, "weight_depth": 256, "parameter_depth": 16, "watchdog_cycles": 1500}
CONFIGS = {
    "one port": Config(pixels=2, lanes=4, port_bits=32, burst_beats=16, **SMALL),
    "two ports": Config(pixels=3, lanes=4, port_bits=32, ports=2, burst_beats=16, **SMALL),
    "four ports": Config(pixels=2, lanes=4, port_bits=32, ports=4, burst_beats=16, **SMALL),
}
CONFIG = CONFIGS[os.environ.get("CONFIG", "one port")]
MODEL, INPUT, OUTPUT, WORK, MEMORY = 0x2000, 0x10000, 0x18000, 0x1C000, 0x20000  # none at zero
PORT_STRIDE = 0x100000  # between the ports' parts on the bus, which have gaps between them
NETWORK = RandomNetwork(7, (2, 10, 9)).convolution(6, (3, 3), padding=(1, 1, 1, 1)).pool((2, 2)).dense(9, relu=False)
QUANTIZED = NETWORK.finish()
IMAGES = NETWORK.images(4)
DEPLOYMENT = compile_network(QUANTIZED, CONFIG)
COLD = DEPLOYMENT.programs["cold"]
PORTS = {"ports": CONFIG.ports, "port_bytes": CONFIG.port_bytes, "stride": 0}


class System:
    """The machine, its memory and its host, every channel pausing at random."""

    def __init__(self, dut, seed):
        self.dut, self.random = dut, random.Random(seed)

    async def begin(self, pauses=0.4):
        dut = self.dut
        Clock(dut.clk, 10, unit="ns").start()
        self.parts, slaves = [MemoryRegion(MEMORY // CONFIG.ports) for _ in range(CONFIG.ports)], []
        for port, part in enumerate(self.parts):
            bus = AddressSpace(1 << 32)  # answers with an error where nothing is
            bus.register_region(part, port * PORT_STRIDE)
            axi = AxiBus.from_prefix(dut, numbered("m_axi_", port)[:-1])
            slaves.append(AxiSlave(axi, dut.clk, dut.rst, target=bus))
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        reads = [side.read_if for side in (*slaves, self.master)]
        writes = [side.write_if for side in (*slaves, self.master)]
        self.channels = [channel for side in reads for channel in (side.ar_channel, side.r_channel)]
        self.channels += [channel for side in writes for channel in (side.aw_channel, side.w_channel, side.b_channel)]
        self.pause(pauses)
        await self.reset()
        self.put(MODEL, DEPLOYMENT.image.tobytes())
        return self

    def pause(self, share):
        """Let every channel of both buses stand still in this share of the cycles."""
        for channel in self.channels:
            pauses = random.Random(self.random.random())
            channel.set_pause_generator(pauses.random() < share for _ in itertools.count())

    def put(self, address, data):
        for port, (place, part) in enumerate(stripes(address, data, **PORTS)):
            self.parts[port].mem[place : place + len(part)] = part

    def get(self, address, size):
        """Bytes of the machine's memory; address and size are multiples of the beat of all ports."""
        first, end = address // CONFIG.ports, (address + size) // CONFIG.ports
        return joined([bytes(part.mem[first:end]) for part in self.parts], CONFIG.port_bytes)

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 5)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    async def write(self, register, value):
        await self.master.write(int(register), value.to_bytes(4, "little"))

    async def read(self, register):
        return int.from_bytes((await self.master.read(int(register), 4)).data, "little")

    async def start(self, address, length, image=0, bases=(MODEL, INPUT, OUTPUT, WORK)):
        self.put(INPUT, DEPLOYMENT.input.pack(IMAGES[image]).tobytes())
        for index, base in enumerate(bases):
            await self.write(Register.BASE + 4 * index, base)
        for port in range(CONFIG.ports):
            await self.write(Register.PORT_BASE + 4 * port, port * PORT_STRIDE)
        await self.write(Register.PROGRAM_ADDRESS, address)
        await self.write(Register.PROGRAM_LENGTH, length)
        await self.write(Register.INTERRUPT_ENABLE, 1)
        await self.write(Register.CONTROL, START)

    async def start_program(self, name, image=0):
        program = DEPLOYMENT.programs[name]
        await self.start(MODEL + program.offset, program.length, image)

    async def end(self):
        """Wait for the interrupt: (status, error)."""
        await with_timeout(RisingEdge(self.dut.interrupt), 500, "us")
        return await self.read(Register.STATUS), await self.read(Register.ERROR)

    async def run(self, name, image):
        """One inference that must succeed and be right."""
        self.put(OUTPUT, bytes([0x55]) * DEPLOYMENT.trace_bytes)
        await self.start_program(name, image)
        assert await self.end() == (DONE, Error.NONE)
        got = DEPLOYMENT.output.unpack(self.get(OUTPUT, DEPLOYMENT.output.bytes))
        expected = integer_engine.run_integers(QUANTIZED, IMAGES[image : image + 1])
        np.testing.assert_array_equal(got, expected[DEPLOYMENT.output.name][0])

    async def run_instructions(self, instructions, **options):
        """Run instructions that are none of the compiler's; (status, error)."""
        address = INPUT + 0x2000
        self.put(address, program_bytes(instructions, CONFIG).tobytes())
        await self.start(address, len(instructions), **options)
        return await self.end()


def first(kind):
    return next(word for word in COLD.instructions if isinstance(word, kind))


def alone(instruction, **changes):
    """An instruction of the program without its tokens."""
    return replace(instruction, **{"wait": 0, "signal": 0} | changes)


BEYOND = CONFIG.activation_depth
FAULTS = {
    "load of a target that does not exist": (alone(first(Load), target=3), Error.ILLEGAL_INSTRUCTION),
    "operation that does not exist": (alone(first(Compute), operation=2), Error.ILLEGAL_INSTRUCTION),
    "write beyond the activations": (
        alone(first(Compute), destination=replace(first(Compute).destination, address=BEYOND)),
        Error.ACTIVATION_ADDRESS,
    ),
    "store from beyond the activations": (
        alone(first(Store), word_address=BEYOND),
        Error.ACTIVATION_ADDRESS,
    ),
    "weights that are not there": (
        alone(first(Compute), weight_address=CONFIG.weight_depth),
        Error.WEIGHT_ADDRESS,
    ),
    "a token that nobody sends": (alone(first(Compute), wait=1 << Unit.LOAD), Error.WATCHDOG),
}


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def inferences_back_to_back(dut):
    """Cold, warm, warm, with random stalls on every channel; registers say what was done."""
    system = await System(dut, 1).begin()
    assert await system.read(Register.IDENTITY) == identity(CONFIG)
    for image, (name, pauses) in enumerate((("cold", 0.1), ("warm", 0.5), ("warm", 0.8))):
        system.pause(pauses)
        await system.run(name, image)
        program = DEPLOYMENT.programs[name]
        retired = [await system.read(r) for r in (Register.LOAD_RETIRED, Register.COMPUTE_RETIRED)]
        assert retired == [sum(isinstance(word, kind) for word in program.instructions) for kind in (Load, Compute)]
        beats = sum(word.beats for word in program.instructions if isinstance(word, Load))
        beats += program.length * isa.instruction_bits(CONFIG) // CONFIG.beat_bits
        assert await system.read(Register.READ_BEATS) == beats
        assert await system.read(Register.WRITE_BEATS) == first(Store).beats
        steps = sum(stage.array_cycles for stage in DEPLOYMENT.stages)
        assert await system.read(Register.COMPUTE_STEPS) == steps


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_fault_stops_with_its_code_and_the_next_run_is_right(dut):
    system = await System(dut, 2).begin(pauses=0.1)
    for name, (instruction, error) in FAULTS.items():
        # The compiler's program first, so that the fault meets a busy machine.
        tail = COLD.instructions[2:]
        assert await system.run_instructions([*COLD.instructions[:2], instruction, *tail]) == (FAILED, error), name
        await system.run("cold", 1)
    for program, error in (
        (seal(0, CONFIG, last=True), Error.ILLEGAL_INSTRUCTION),
        (bytes(isa.instruction_bits(CONFIG) // 8), Error.DAMAGED_PROGRAM),
        (seal(isa.encode(first(Load), CONFIG), CONFIG, last=False), Error.DAMAGED_PROGRAM),
    ):
        system.put(INPUT + 0x2000, program)
        await system.start(INPUT + 0x2000, 1)
        assert await system.end() == (FAILED, error)
    await system.run("warm", 2)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def memory_errors_stop_the_run(dut):
    """Addresses beyond the memory: the bus model answers with an error."""
    system = await System(dut, 3).begin(pauses=0.1)
    await system.start(MODEL + COLD.offset, COLD.length, bases=(MEMORY, INPUT, OUTPUT, WORK))
    assert await system.end() == (FAILED, Error.READ_RESPONSE)
    await system.run("cold", 0)
    await system.start(MODEL + COLD.offset, COLD.length, bases=(MODEL, INPUT, MEMORY, WORK))
    assert await system.end() == (FAILED, Error.WRITE_RESPONSE)
    await system.run("cold", 3)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def stops_and_resets_at_any_time(dut):
    """STOP ends a run with its code, a reset without; the inference after it is right."""
    system = await System(dut, 4).begin(pauses=0.2)
    await system.run("cold", 0)
    whole = await system.read(Register.CYCLES)
    for cycles in (whole * share // 100 for share in (0, 4, 15, 35, 55, 75)):
        await system.start_program("cold")
        await ClockCycles(dut.clk, cycles)
        await system.write(Register.CONTROL, STOP)
        assert await system.end() == (FAILED, Error.STOPPED), cycles
        await system.run("cold", 1)
    for cycles in (whole * share // 100 for share in (1, 20, 60)):
        await system.start_program("cold")
        await ClockCycles(dut.clk, cycles)
        assert await system.read(Register.STATUS) == BUSY
        await system.reset()
        assert await system.read(Register.STATUS) == 0
        system.put(MODEL, DEPLOYMENT.image.tobytes())
        await system.run("cold", 2)


@pytest.mark.parametrize("name", CONFIGS)
def test_accelerator(name, tmp_path):
    accelerator = Accelerator(CONFIGS[name])
    ports = named_ports(accelerator, AXI_PORTS)
    run_bench(accelerator, __name__, tmp_path, environment={"CONFIG": name}, ports=ports)
