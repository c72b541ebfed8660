"""The bare array beside which the whole machine's simulation is timed has the machine's own array in it."""

import re

import pytest

from benchmarks.simulation_speed import array_source, machines
from quantflow.config import Config


@pytest.mark.parametrize("config", [Config(pixels=1, lanes=2), Config(pixels=3, lanes=4, activation_bits=6)])
def test_the_arrays_ports_are_fed_whole(config):
    source = array_source(config)
    widths = {name: int(width) for name, width in re.findall(r"parameter ([A-Z]+) = (\d+)", source)}
    assert widths["ACTIVATIONS"] == config.pixels * config.lanes * config.operand_bits
    assert widths["WEIGHTS"] == config.lanes**2 * config.weight_bits
    assert widths["ACCUMULATORS"] == config.pixels * config.lanes * config.accumulator_bits
    assert re.search(r"^module mac_array\(", source, re.MULTILINE)


def test_the_machines_are_those_of_the_targets():
    configs = {name: board.config for name, (board, _) in machines().items()}
    assert configs["ulx3s-85f"].multipliers == 128
    large = configs["P 7, I = O 16"]
    assert (large.pixels, large.lanes, large.multipliers) == (7, 16, 1_792)
