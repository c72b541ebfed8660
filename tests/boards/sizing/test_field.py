"""The field of machines: the Pareto set, and a cluster's workers in place of this machine's cores."""

import numpy as np
import pytest

import boards
from boards.sizing import choice, evaluation, field
from boards.sizing.field import explore, pareto
from quantflow.errors import UserError
from tests.boards.sizing.networks import network, with_room


def test_the_pareto_set_by_brute_force():
    random = np.random.default_rng(1)
    for _ in range(30):
        points = [tuple(map(int, row)) for row in random.integers(0, 4, (random.integers(1, 25), 4))]
        found = pareto(points)
        for number, point in enumerate(points):
            better = [_dominates(other, point) for other in points]
            earlier = point in points[:number]
            assert (number in found) == (not any(better) and not earlier)


def _dominates(other, point):
    as_good = other[0] >= point[0] and all(a <= b for a, b in zip(other[1:], point[1:], strict=True))
    return as_good and other != point


@pytest.fixture
def few(monkeypatch):
    """A field of few machines."""
    monkeypatch.setattr(choice, "MOST_LOOKED_AT", 6)


def test_the_field_of_a_board(few):
    board, reports = with_room("pynq-z2", dsp=40), []
    machines = explore(network(), board, report=lambda *numbers: reports.append(numbers))
    speeds = [machine.evaluation.images_per_second for machine in machines]
    assert len(machines) > 3 and speeds == sorted(speeds, reverse=True)
    assert machines[0].best and all(machine.evaluation.fits for machine in machines)
    assert reports[-1][0] == reports[-1][1] == len(reports)
    sizes = {(each.evaluation.config.pixels, each.evaluation.config.lanes) for each in machines}
    assert len(sizes) > 3, "they are of many sizes"


def test_a_family_without_measurements():
    with pytest.raises(UserError, match="^tang-nano-20k: what machines take of a part of the family gowin"):
        explore(network(), boards.find("tang-nano-20k"))


def test_a_cluster_finds_the_same(few):
    distributed = pytest.importorskip("distributed")
    board, quantized = with_room("pynq-z2", dsp=40), network()
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster:
        there = explore(quantized, board, cluster=cluster.scheduler_address)
    here = explore(quantized, board)
    assert [machine.to_json() for machine in there] == [machine.to_json() for machine in here]


def test_no_scheduler(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(evaluation, "CONNECTING", 1)
    with pytest.raises(UserError, match="^there is no Dask scheduler at tcp://127.0.0.1:9: "):
        explore(network(), with_room("pynq-z2", dsp=8), cluster="tcp://127.0.0.1:9")


def test_fields_are_not_larger_than_said(few):
    assert len(field._spread(network(), with_room("pynq-z2", dsp=40), 1)) <= field.FIELD * 6
