"""The manifest survives its file; damaged files are refused in one sentence."""

import json

import pytest

from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.errors import UserError
from quantflow.manifest import MANIFEST, Manifest
from tests.quantflow.networks import RandomNetwork


class _Board:
    name, clock_mhz, memory = "none", 100, MemoryTiming(latency=20)


def _manifest():
    network = RandomNetwork(1, (1, 9, 9)).convolution(5, (3, 3), padding=(1, 1, 1, 1)).pool((3, 3)).dense(4)
    return Manifest.of(compile_network(network.finish(), Config(pixels=3, lanes=4, port_bits=32)), _Board)


def test_round_trip(tmp_path):
    manifest = _manifest()
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    program = manifest.programs["cold"]
    units = [record.unit for record in program.instructions]
    assert sorted({"load", "compute", "store"}) == sorted(set(units))
    for unit in set(units):
        assert [n for n, _ in program.of_unit(unit)] == [n for n, u in enumerate(units) if u == unit]


def test_refused(tmp_path):
    with pytest.raises(UserError, match=f"is no build folder: it has no {MANIFEST}"):
        Manifest.read(tmp_path)
    path = tmp_path / MANIFEST
    path.write_text("{")
    with pytest.raises(UserError, match="cannot be read: "):
        Manifest.read(tmp_path)
    path.write_text("[]")
    with pytest.raises(UserError, match="does not describe a quantflow build"):
        Manifest.read(tmp_path)
    _manifest().write(tmp_path)
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"version": 0}))
    with pytest.raises(UserError, match="was written by another version of quantflow: generate it again"):
        Manifest.read(tmp_path)
    path.write_text(json.dumps(values | {"config": {"pixels": 0, "lanes": 4}}))
    with pytest.raises(UserError, match=r"is damaged \(pixels is at least 1, not 0\): generate it again"):
        Manifest.read(tmp_path)
    values.pop("stages")
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"is damaged \('stages'\): generate it again"):
        Manifest.read(tmp_path)
