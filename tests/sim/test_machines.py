"""Whole networks on whole machines: RTL = integer engine, and the cycle model = the RTL's counter."""

from dataclasses import replace

import pytest

import boards
from boards.project import write_project
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.manifest import Manifest
from quantflow.registers import Register
from sim.inference import simulate
from tests.quantflow.networks import RandomNetwork


def _digits(**bits):
    """LeNet's shape, smaller: folded first kernel, fused pooling, fully connected layers."""
    network = RandomNetwork(1, (1, 16, 16), **bits).convolution(6, (5, 5), padding=(2, 2, 2, 2)).pool((2, 2))
    return network.convolution(9, (3, 3)).pool((2, 2)).dense(20).dense(10, relu=False)


def _strides(**bits):
    """Strides of 1, 2 and 3, asymmetric padding, 1 x 1 kernels, overlapping pooling windows."""
    network = RandomNetwork(2, (5, 15, 13), **bits).convolution(7, (3, 3), (2, 2), (1, 0, 1, 2))
    network = network.convolution(9, (1, 1)).pool((3, 3), (2, 2), (1, 1, 0, 1))
    return network.convolution(10, (2, 3), (1, 3), (0, 2, 1, 1), relu=False)


def _branches(**bits):
    """Residuals, depthwise and grouped kernels, averages, a concatenation; unsigned maps beside signed ones."""
    network = RandomNetwork(3, (4, 14, 11), vary=True, **bits).convolution(8, (3, 3), padding=(1, 1, 1, 1))
    first = network.last
    network.convolution(8, (3, 3), padding=(1, 1, 1, 1), groups=8).convolution(8, (1, 1), residual=first)
    sum_ = network.last
    network.average_pool((3, 3), (1, 1), (1, 1, 1, 1), include_pad=False, source=first).concat(sum_)
    network.convolution(12, (3, 3), (2, 2), (1, 1, 1, 1), groups=4).pool((2, 2), (2, 2))
    return network.average_pool((3, 2), (1, 1)).dense(10, relu=False)


MACHINES = {
    "P=1": (Config(pixels=1, lanes=4, port_bits=32, activation_depth=1024), _digits),
    "as small as can be, 128 KB of memory": (
        Config(
            pixels=1,
            lanes=2,
            port_bits=32,
            accumulator_bits=24,
            weight_depth=512,
            burst_beats=16,
            outstanding_bursts=1,
            queue_depth=1,
            waiting_beats=2,
            extent_bits=8,
            phase_bits=2,
            memory_address_bits=17,
            counters=False,
            profile_depth=0,
        ),
        _digits,
    ),
    "P=2, one instruction at a time": (
        Config(pixels=2, lanes=4, port_bits=32, activation_depth=600, weight_depth=128, overlap=False),
        _branches,
    ),
    "P=1, one phase, no residuals": (
        Config(pixels=1, lanes=4, port_bits=32, activation_depth=512, phase_bits=0, residuals=False),
        _strides,
    ),
    "P=3, two 64-bit ports": (Config(pixels=3, lanes=8, ports=2, activation_depth=256), _strides),
    "P=7, R=2, 16 bits": (
        Config(
            pixels=7,
            lanes=2,
            requantizers=2,
            port_bits=32,
            activation_bits=16,
            weight_bits=16,
            accumulator_bits=44,
            activation_depth=512,
            parameter_depth=128,
        ),
        _branches,
    ),
    "P=2, 4-bit weights, streamed": (
        Config(
            pixels=2,
            lanes=4,
            port_bits=32,
            weight_bits=4,
            activation_bits=6,
            accumulator_bits=24,
            weight_depth=80,
            parameter_depth=8,
            burst_beats=16,
            queue_depth=2,
        ),
        _digits,
    ),
    "P=5, R=3, four ports, through memory": (
        Config(
            pixels=5,
            lanes=4,
            requantizers=3,
            ports=4,
            port_bits=32,
            activation_depth=260,
            weight_depth=128,
            parameter_depth=8,
            outstanding_bursts=2,
        ),
        _branches,
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_rtl_equals_integer_engine(name, tmp_path):
    config, network = MACHINES[name]
    builder = network(activation_bits=config.activation_bits, weight_bits=config.weight_bits)
    quantized = builder.finish()
    images = dequantize(builder.images(3), quantized.input)
    # Block RAM, as the default board has it, serves one port.
    board = replace(boards.find(boards.DEFAULT if config.ports == 1 else "zc706"), config=config)
    write_project(compile_network(quantized, config), quantized, board, tmp_path / "build")
    result = simulate(tmp_path / "build", images)
    assert result.first_mismatch is None
    assert result.bit_exact and result.images == 3
    programs = Manifest.read(tmp_path / "build").programs
    warm = programs.get("warm", programs["cold"])
    for program, cycles in zip((programs["cold"], warm, warm), result.image_cycles, strict=True):
        assert program.estimated_cycles == pytest.approx(cycles, rel=0.05)
    steps = {counters[Register.COMPUTE_STEPS.name.lower()] for counters in result.counters}
    assert len(steps) == 1, "the work of the array does not depend on the image"
