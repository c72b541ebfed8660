"""The cycle model's constants are the gateware's; whole programs are compared in tests/sim."""

import pytest

from hdl.compute.compute_unit import ComputeUnit
from hdl.instructions.fetch import PREFETCH
from quantflow import cycles
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming, compute_overhead, estimate
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=2, lanes=8)


@pytest.mark.parametrize("pixels, lanes, requantizers", [(1, 8, 1), (2, 4, 1), (5, 2, 3), (7, 8, 2), (8, 16, 8)])
def test_overhead_is_the_compute_units(pixels, lanes, requantizers):
    config = Config(pixels=pixels, lanes=lanes, requantizers=requantizers, port_bits=32, activation_bits=16)
    assert compute_overhead(config) == ComputeUnit(config).overhead_cycles


def test_prefetch_is_the_fetch_units():
    assert cycles.PREFETCH == PREFETCH


def _deployment():
    network = RandomNetwork(1, (1, 28, 28)).convolution(6, (5, 5), padding=(2, 2, 2, 2)).pool((2, 2))
    return compile_network(network.dense(10, relu=False).finish(), CONFIG)


def test_stages_add_up_to_the_run():
    deployment = _deployment()
    result = estimate(deployment, MemoryTiming())
    assert len(result.stages) == len(deployment.stages)
    assert 0 < result.cycles - sum(result.stages) < 60  # what is left is the store


def test_never_faster_than_array_or_port():
    deployment = _deployment()
    array = sum(stage.array_cycles for stage in deployment.stages)
    for timing in (MemoryTiming(), MemoryTiming(latency=100), MemoryTiming(bytes_per_cycle=0.9)):
        beats = sum(getattr(word, "beats", 0) for word in deployment.programs["cold"].instructions)
        cold = estimate(deployment, timing, "cold").cycles
        warm = estimate(deployment, timing, "warm").cycles
        assert cold > max(array, beats * timing.cycles_per_beat(deployment.config))
        assert array < warm < cold
