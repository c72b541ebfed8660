"""Profiles: which layer the cycles go by, from the machine's record of its compute instructions' ends."""

import json
from dataclasses import replace

import numpy as np
import pytest

import boards
from boards.driver import Accelerator
from quantflow.compiler import compile_network
from quantflow.integer_engine import run_integers
from quantflow.manifest import Manifest
from quantflow.registers import COUNTERS, Register
from tests.boards.driver.builds import CONFIG, small_network
from tests.boards.driver.stand_in import StandIn, StandInLink


def opened(**machine):
    config = replace(CONFIG, ports=1, **machine)
    network = small_network()
    quantized, images = network.finish(), network.images(1)
    deployment = compile_network(quantized, config)
    manifest = Manifest.of(deployment, replace(boards.find("pynq-z2"), config=config))
    stand_in = StandIn(manifest, images, run_integers(quantized, images)[quantized.network.layers[-1].name])
    accelerator = Accelerator(StandInLink(stand_in), manifest, deployment.model.tobytes())
    accelerator.infer(images[0])
    return accelerator, stand_in


def test_layers():
    """A layer ends with its last compute instruction, the last one with the run."""
    accelerator, machine = opened()
    profile, manifest = accelerator.profile(), accelerator.manifest
    program, total = manifest.programs["cold"], machine.registers[Register.CYCLES]
    assert profile.program == "cold" and profile.seconds == pytest.approx(total / 100e6)
    assert set(profile.counters) == {register.name.lower() for register in COUNTERS}
    ends = {}
    for (_, record), cycle in zip(program.of_unit("compute"), machine.retired, strict=True):
        ends[record.stage] = cycle
    ends[len(manifest.stages) - 1] = total
    cycles = np.diff([0, *(ends[stage] for stage in range(len(manifest.stages)))])
    assert len(machine.retired) > len(manifest.stages) > 1
    assert [layer.cycles for layer in profile.layers] == cycles.tolist()
    for layer, stage, predicted in zip(profile.layers, manifest.stages, program.predicted, strict=True):
        assert (layer.name, layer.macs, layer.predicted_cycles) == (stage.name, stage.macs, predicted.cycles)
        assert layer.utilization == stage.macs / (layer.cycles * manifest.config.multipliers)
    assert json.loads(json.dumps(profile.to_json()))["layers"][0]["cycles"] == cycles[0]


def test_machines_without_the_record():
    """Whole-run counters only: no memory for it, or more instructions than it has room for."""
    for depth in (0, 2):
        profile = opened(profile_depth=depth)[0].profile()
        assert profile.layers is None and profile.counters["cycles"] > 0
