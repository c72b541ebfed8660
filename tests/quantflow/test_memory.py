"""How much memory tuning takes, measured on processes of their own; the networks have the shape of VGG-16."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, as Linux has it")


def measured(**options):
    """What `memory_worker` prints, with `extra`: bytes that tuning took beside the network and its images."""
    command = [sys.executable, "-m", "tests.quantflow.memory_worker", json.dumps(options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    figures = json.loads(result.stdout)
    return figures | {"extra": figures["peak"] - figures["before"]}


def test_a_budget_limits_memory_and_changes_nothing():
    network = {"size": 128, "divisor": 8, "count": 32, "method": "paper", "batch_bytes": 1 << 20}
    free, none = measured(**network, memory=1 << 30), measured(**network, memory=0)
    # The largest layer's maps, 8 channels of 128 x 128: float in and out, sums, integers in and out.
    maps = 32 * 8 * 128 * 128 * (4 + 4 + 4 + 1 + 1)
    assert free["digest"] == none["digest"]
    assert free["extra"] > maps
    assert none["extra"] < free["extra"] - maps / 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["paper", "default"])
def test_vgg16_tunes_on_64_images_within_8_gb(method):
    figures = measured(size=224, divisor=1, count=64, method=method)
    assert figures["peak"] < 8e9
