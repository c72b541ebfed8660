"""A whole network on the machine between cocotbext-axi's memory and master, which pause at random.

The bus model is not the project's own, so a misreading of AXI cannot cancel out; and the machine's
results must not depend on when the bus answers.
"""

import itertools
import random

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from hdl.accelerator import TOP, accelerator_verilog
from quantflow import integer_engine
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.registers import DONE, START, Register, identity
from sim.simulator import build
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=3, lanes=4, port_bits=32, activation_depth=512, weight_depth=512, parameter_depth=16)
BASES = 0x2000, 0x13000, 0x17000  # model, input, output: neither zero nor neighbours
MEMORY_BYTES = 1 << 17
PAUSE_SHARES = (0.1, 0.5, 0.8)  # one for each inference


def _network():
    network = RandomNetwork(11, (2, 14, 13)).convolution(5, (5, 5), padding=(2, 2, 2, 2)).pool((2, 2))
    network = network.convolution(9, (3, 2), (2, 1)).dense(6).dense(3, relu=False)
    quantized = network.finish()
    return quantized, compile_network(quantized, CONFIG), network.images(len(PAUSE_SHARES))


def _pause(memory, control, share):
    channels = [
        memory.write_if.aw_channel, memory.write_if.w_channel, memory.write_if.b_channel,
        memory.read_if.ar_channel, memory.read_if.r_channel,
        control.write_if.aw_channel, control.write_if.w_channel, control.write_if.b_channel,
        control.read_if.ar_channel, control.read_if.r_channel,
    ]  # fmt: skip
    for number, channel in enumerate(channels):
        generator = random.Random(f"{number} {share}")
        channel.set_pause_generator(generator.random() < share for _ in itertools.count())


async def _infer(dut, memory, control, deployment, image, name):
    """One inference from packing to unpacking: the output map."""
    memory.write(BASES[1], deployment.input.pack(image).tobytes())
    memory.write(BASES[2], b"\xa5" * deployment.output_bytes)
    program = deployment.programs[name]
    await control.write_dword(Register.PROGRAM_ADDRESS, BASES[0] + program.offset)
    await control.write_dword(Register.PROGRAM_LENGTH, program.length)
    await control.write_dword(Register.CONTROL, START)
    await RisingEdge(dut.interrupt)
    assert await control.read_dword(Register.STATUS) == DONE
    assert await control.read_dword(Register.ERROR) == 0
    return deployment.output.unpack(memory.read(BASES[2], deployment.output.bytes))


@cocotb.test(timeout_time=5000, timeout_unit="us")
async def inferences(dut):
    """Cold, warm, warm: each image under heavier pauses, each result the integer engine's."""
    quantized, deployment, images = _network()
    last = quantized.network.layers[-1].name
    expected = integer_engine.run_integers(quantized, images)[last]
    memory = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    control = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
    memory.write(BASES[0], deployment.image.tobytes())
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    assert await control.read_dword(Register.IDENTITY) == identity(CONFIG)
    for region, base in enumerate(BASES):
        await control.write_dword(Register.BASE + 4 * region, base)
    await control.write_dword(Register.INTERRUPT_ENABLE, 1)
    for number, share in enumerate(PAUSE_SHARES):
        _pause(memory, control, share)
        name = "cold" if number == 0 else "warm"
        output = await _infer(dut, memory, control, deployment, images[number], name)
        np.testing.assert_array_equal(output, expected[number])
        dut._log.info(f"{name} with pauses {share}: {await control.read_dword(Register.CYCLES)} cycles")


def test_independent_bus(tmp_path):
    assert "warm" in _network()[1].programs
    build(accelerator_verilog(CONFIG), top=TOP, closed=True).run(__name__, folder=tmp_path)
