"""The accelerator in a LiteX system in simulation: registers over LiteX's bridge, memory in LiteDRAM."""

import os
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.task import bridge

import boards
from boards.driver import Accelerator
from boards.project import write_project
from quantflow import integer_engine
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import VERILOG
from sim.simulator import build
from tests.quantflow.networks import RandomNetwork

pytest.importorskip("litedram", reason="the extra `litex` is not installed")

IMAGES = "images.npz"  # x, float images; expected, the integer engine's outputs
COMMON = {"pixels": 2, "lanes": 4, "activation_depth": 256, "weight_depth": 128, "watchdog_cycles": 4000}
CONFIGS = {
    "one port as wide as the controller's": Config(port_bits=128, **COMMON),
    "two narrow ports behind converters": Config(port_bits=32, ports=2, burst_beats=16, **COMMON),
}


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def images_are_inferred(dut):
    """The integer engine's integers, twice over: with weights from memory and with those on the chip."""
    from tests.boards.litex_simulated import SimulatedLiteX

    folder = Path(os.environ["BUILD"])
    with np.load(folder / IMAGES) as arrays:
        x, expected = arrays["x"], arrays["expected"]
    link = SimulatedLiteX(dut)

    def work():
        accelerator = Accelerator.open(link, folder)
        np.testing.assert_array_equal(accelerator.run(x), expected)
        assert accelerator.program == "warm"

    await link.reset()
    await bridge(work)()
    assert link.repeated == 0


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_in_simulation(tmp_path, config):
    from tests.boards.litex_simulated import TOP, system_verilog

    random = RandomNetwork(3, (3, 9, 8))
    quantized = random.convolution(6, (3, 3), padding=(1, 1, 1, 1)).pool((2, 2)).dense(7, relu=False).finish()
    folder = tmp_path / "build"
    board = replace(boards.find("ecpix5-85f"), config=config)
    write_project(compile_network(quantized, config), quantized, board, folder)
    integers = random.images(3)
    expected = integer_engine.run_integers(quantized, integers)[quantized.network.layers[-1].name]
    np.savez(folder / IMAGES, x=dequantize(integers, quantized.input), expected=expected)
    built = build(system_verilog(folder) + (folder / VERILOG).read_text(), top=TOP, closed=True)
    built.run(__name__, folder=tmp_path / "run", environment={"BUILD": str(folder)})
