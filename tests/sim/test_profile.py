"""The machine's own record of retirements against the testbench's."""

from quantflow.config import Config
from quantflow.registers import DONE, Register
from tests.quantflow.networks import RandomNetwork
from tests.sim.machines import Machine
from tests.sim.programs import Deployed

CONFIG = Config(pixels=1, lanes=4, port_bits=32, activation_depth=1024, weight_depth=256, profile_depth=8)


def test_retirements():
    """Of two runs of different programs, the longer one first."""
    builder = RandomNetwork(1, (1, 12, 12)).convolution(6, (5, 5)).pool((2, 2)).convolution(9, (3, 3)).dense(10)
    deployed, machine = Deployed(CONFIG, builder), Machine(CONFIG)
    machine.reset()
    deployed.place(machine)
    deployed.place_input(machine, 0)
    recorded, results = [], []
    for name in ("trace", "cold"):
        results.append(machine.start(deployed.program(name), deployed.bases, deployed.sizes))
        assert results[-1]["status"] == DONE
        retired = results[-1][Register.COMPUTE_RETIRED.name.lower()]
        assert retired >= 3
        recorded.append(machine.profile(min(retired, CONFIG.profile_depth)))
    seen, retirements = [], []
    for cycle, event in machine.end():
        if event == "C":
            retirements.append(cycle)
        elif event == "I":
            start = cycle - results[len(seen)]["cycles"]
            seen.append([end - start for end in retirements])
            retirements = []
    assert recorded == [run[: CONFIG.profile_depth] for run in seen]
