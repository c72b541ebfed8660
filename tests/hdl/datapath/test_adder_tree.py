"""AdderTree against numpy's sum, with and without a term that has no neighbour."""

import json
import os

import cocotb
import numpy as np
import pytest

from hdl.datapath.adder_tree import AdderTree
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_integers, to_port


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sums_follow_their_terms(dut):
    shape = json.loads(os.environ["SHAPE"])
    trees, leaves, bits = shape["trees"], shape["leaves"], shape["leaf_bits"]
    latency = AdderTree.levels(leaves)
    terms = random_integers(np.random.default_rng(1), bits, (200, trees, leaves))
    terms[0], terms[1] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    recorded = await play(dut, [{"terms": to_port(now, bits)} for now in terms], ["sums"])
    for now, outputs in zip(terms, recorded[latency:], strict=False):
        np.testing.assert_array_equal(from_port(outputs["sums"], bits + latency, (trees,)), now.sum(axis=1))


@pytest.mark.parametrize(
    "shape", [{"trees": 3, "leaves": 8, "leaf_bits": 12}, {"trees": 2, "leaves": 5, "leaf_bits": 3}]
)
def test_adder_tree(shape, tmp_path):
    run_bench(AdderTree(**shape), __name__, tmp_path, environment={"SHAPE": json.dumps(shape)})


def test_latency_is_the_number_of_levels():
    assert [AdderTree.levels(leaves) for leaves in (1, 2, 3, 4, 5, 8, 9)] == [0, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("name", ["trees", "leaves", "leaf_bits"])
def test_counts_are_positive(name):
    with pytest.raises(ValueError, match=f"^{name} is at least 1, not 0$"):
        AdderTree(**{"trees": 2, "leaves": 2, "leaf_bits": 2, name: 0})
