"""Random networks with branches on machines from roomy to tiny: emulated programs equal the integer engine."""

import pytest

from quantflow import integer_engine
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.errors import UserError
from tests.quantflow.compiled import check
from tests.quantflow.random_dags import random_dag

ROOMY = {
    "2x8": {"pixels": 2, "lanes": 8},
    "1x4": {"pixels": 1, "lanes": 4, "port_bits": 32},
    "7x4, R=2": {"pixels": 7, "lanes": 4, "requantizers": 2, "phase_bits": 4},
    "1x4, one phase": {"pixels": 1, "lanes": 4, "phase_bits": 0},
}
TINY = {
    "3x4": {"pixels": 3, "lanes": 4, "activation_depth": 200, "weight_depth": 50, "parameter_depth": 3},
    "2x2": {"pixels": 2, "lanes": 2, "activation_depth": 300, "weight_depth": 100, "parameter_depth": 3},
    "1x4, one phase": {
        "pixels": 1, "lanes": 4, "phase_bits": 0, "activation_depth": 300, "weight_depth": 50, "parameter_depth": 3,
    },
    "4x4, R=2": {
        "pixels": 4, "lanes": 4, "requantizers": 2, "activation_depth": 90, "weight_depth": 70, "parameter_depth": 8,
    },
    "4x4, 4-bit weights": {
        "pixels": 4, "lanes": 4, "activation_depth": 100, "weight_depth": 70, "parameter_depth": 8, "weight_bits": 4,
    },
    "2x8, 2-bit weights": {
        "pixels": 2, "lanes": 8, "activation_depth": 150, "weight_depth": 70, "parameter_depth": 8, "weight_bits": 2,
        "activation_bits": 6,
    },
}  # fmt: skip
SEEDS = range(10)


def compiled(seed, options):
    config = Config(**{"port_bits": 32, "accumulator_bits": 44, "activation_depth": 8192} | options)
    network = random_dag(seed, activation_bits=config.activation_bits, weight_bits=config.weight_bits)
    quantized, images = network.finish(), network.images(2)
    return compile_network(quantized, config), images, integer_engine.run_integers(quantized, images, keep=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("machine", ROOMY)
def test_what_fits_on_chip_moves_only_weights_input_and_output(machine, seed):
    deployment, images, expected = compiled(seed, ROOMY[machine])
    assert deployment.work_bytes == 0
    moved = deployment.programs["cold"].bytes_moved
    assert set(moved) <= {"weights", "parameters", "input", "output"}
    assert (moved["input"], moved["output"]) <= (deployment.input.bytes, deployment.output.bytes)
    check(deployment, images, expected)


@pytest.mark.parametrize("machine", TINY)
def test_tiny_scratchpads_tile_or_refuse(machine):
    """What is refused does not fit, and says so; most is not refused, and some of it lives in memory."""
    tiled = refused = 0
    for seed in SEEDS:
        try:
            deployment, images, expected = compiled(seed, TINY[machine])
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and ("does not fit" in str(error) or "into one bank" in str(error))
            continue
        tiled += deployment.work_bytes > 0
        check(deployment, images, expected)
    assert tiled >= 2 and refused <= len(SEEDS) // 2
