"""Random programs on whole machines: emulator and RTL leave the same memory, whatever the memory's timing."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from quantflow.config import Config
from quantflow.registers import DONE, FAILED, Error
from tests.sim.machines import machine
from tests.sim.programs import compiled, memories, networks

COMMON = {"port_bits": 32, "accumulator_bits": 40, "burst_beats": 16, "watchdog_cycles": 4000}
CONFIGS = {
    "P=1": Config(pixels=1, lanes=4, activation_depth=1024, weight_depth=256, parameter_depth=16, **COMMON),
    "P=1, one phase, no residuals": Config(
        pixels=1, lanes=4, activation_depth=256, weight_depth=64, parameter_depth=8, phase_bits=0, residuals=False,
        **COMMON,
    ),
    "P=1, one phase": Config(
        pixels=1, lanes=4, activation_depth=512, weight_depth=256, parameter_depth=16, phase_bits=0, **COMMON
    ),
    "P=3, two ports, tiny": Config(
        pixels=3, lanes=4, ports=2, activation_depth=128, weight_depth=64, parameter_depth=8, **COMMON
    ),
    "P=2, one instruction at a time": Config(
        pixels=2, lanes=4, overlap=False, activation_depth=256, weight_depth=128, parameter_depth=12, **COMMON
    ),
    "P=7, R=2, 16 bits": Config(
        pixels=7, lanes=2, requantizers=2, activation_depth=512, weight_depth=256, parameter_depth=32, phase_bits=4,
        **COMMON | {"activation_bits": 16, "weight_bits": 16, "accumulator_bits": 44},
    ),
    "P=5, four ports, 4-bit weights, two products": Config(
        pixels=5, lanes=4, ports=4, activation_bits=6, weight_bits=4, products_per_dsp=2, requantizers=3, queue_depth=2,
        outstanding_bursts=2, activation_depth=256, weight_depth=100, parameter_depth=12, **COMMON,
    ),
}  # fmt: skip
QUICK = settings(
    max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
THOROUGH = settings(QUICK, max_examples=200)
ACTIONS = ("cold", "cold", "warm", "trace", "stop", "reset")


def runs_of_a_network(config, data):
    """Some runs of a random network, back to back and after stops, and the memory after each."""
    network = data.draw(networks(config))
    note(f"{network.layers}")
    deployed = compiled(config, network)
    assume(deployed is not None)
    memory = data.draw(memories(), "memory")
    simulated = machine(config)
    simulated.reset(**memory)
    deployed.place(simulated)
    emulator, whole = deployed.emulator(simulated), False
    deployed.fill(simulated, emulator)
    for action in data.draw(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4), "runs"):
        image = data.draw(st.integers(0, 2), "image")
        deployed.place_input(simulated, image)
        if action in ("stop", "reset"):
            cycles = data.draw(st.integers(0, 3000), "cycles")
            when = {f"{action}_after": cycles}
            result = simulated.start(deployed.program("cold"), deployed.bases, deployed.sizes, **when)
            stopped = result["status"] == FAILED and result["error"] == Error.STOPPED
            assert stopped or result["status"] == (DONE if action == "stop" else 0), result
            simulated.memory[:] = simulated.contents()
            deployed.fill(simulated, emulator)
            whole = False
            continue
        if action == "warm" and not (whole and "warm" in deployed.deployment.programs):
            action = "cold"
        run_and_compare(simulated, deployed, emulator, action, image)
        whole = True


def run_and_compare(simulated, deployed, emulator, name, image):
    program = deployed.program(name)
    result = simulated.start(program, deployed.bases, deployed.sizes)
    assert (result["status"], result["error"]) == (DONE, Error.NONE), result
    emulator.run(*program)
    assert np.array_equal(simulated.contents(), simulated.memory), name
    if name != "trace":
        output = deployed.deployment.output.unpack(simulated.memory[deployed.output].tobytes())
        assert np.array_equal(output, deployed.expected(image)), name


def randomly(check, config, how):
    @how
    @given(st.data())
    def many(data):
        check(config, data)

    many()


@pytest.mark.parametrize("name", CONFIGS)
def test_networks(name):
    randomly(runs_of_a_network, CONFIGS[name], QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_two_hundred_networks(name):
    randomly(runs_of_a_network, CONFIGS[name], THOROUGH)
