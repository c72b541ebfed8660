"""Faults of bus, program, addresses and host: the right answer or a stop with an error, and nothing touched outside.

After every fault the machine starts again, without a reset, and is right.
"""

import numpy as np
import pytest
from hypothesis import assume, event, given, note
from hypothesis import strategies as st

from quantflow.registers import DONE, FAILED, Error
from tests.sim.faults import KINDS, Faults
from tests.sim.machines import MEMORY_BYTES, machine
from tests.sim.programs import compiled, memories, networks
from tests.sim.test_random_programs import CONFIGS, QUICK, THOROUGH

WRITTEN = (2, 3)  # regions that programs write


def fault_and_recovery(config, data):
    network = data.draw(networks(config))
    note(f"{network.layers}")
    deployed = compiled(config, network)
    assume(deployed is not None)
    simulated = machine(config)
    simulated.reset(**data.draw(memories(), "memory"))
    kind = data.draw(st.sampled_from(KINDS), "fault")
    deployed.place(simulated)
    deployed.place_input(simulated, 0)
    order = getattr(Faults(data.draw, deployed, simulated), kind)()
    note(f"{order}")
    simulated.set(**order.memory)
    result = simulated.start(order.program, order.bases, order.sizes)
    assert result["ended"], f"the machine hangs: {result}"
    event(f"{kind}: {Error(result['error']).name}")
    if result["status"] == DONE:
        assert order.harmless, "the fault was not noticed"
        check_memory(simulated, order)
        assert order.may_be_wrong or right(deployed, simulated, 0)
    else:
        assert result["status"] == FAILED and result["error"] in order.errors, result
        check_memory(simulated, order)
    simulated.set(error_first=1, error_last=0)
    deployed.place(simulated)
    deployed.place_input(simulated, 1)
    result = simulated.start(deployed.program("cold"), deployed.bases, deployed.sizes)
    assert (result["status"], result["error"]) == (DONE, Error.NONE), f"does not start again: {result}"
    check_memory(simulated, Faults(data.draw, deployed, simulated).order())
    assert right(deployed, simulated, 1)


def check_memory(simulated, order):
    """Nothing is written outside of the regions that the run was given to write; takes what is there for granted."""
    contents, own = simulated.contents(), np.zeros(MEMORY_BYTES, bool)
    for region in WRITTEN:
        own[order.bases[region] :][: order.sizes[region]] = True
    changed = np.flatnonzero((contents != simulated.memory) & ~own)
    assert not len(changed), f"written outside: {changed[:10]}"
    simulated.memory[:] = contents


def right(deployed, simulated, image):
    output = deployed.deployment.output.unpack(simulated.memory[deployed.output].tobytes())
    return np.array_equal(output, deployed.expected(image))


@pytest.mark.parametrize("name", CONFIGS)
def test_faults(name):
    randomly(CONFIGS[name], QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_two_hundred_faults(name):
    randomly(CONFIGS[name], THOROUGH)


def randomly(config, how):
    @how
    @given(st.data())
    def many(data):
        fault_and_recovery(config, data)

    many()
