"""AccumulatorBank against running sums in numpy, which wrap at the accumulator's width."""

import cocotb
import numpy as np

from hdl.datapath.accumulator_bank import AccumulatorBank
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import from_port, play, random_groups, random_integers, to_port

CONFIG = Config(pixels=3, lanes=2, activation_bits=9, weight_bits=5, accumulator_bits=14, port_bits=32)
TERM_BITS = 12


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sums_start_anew_at_first_and_shift_between_passes(dut):
    rng = np.random.default_rng(4)
    cycles = random_groups(rng, 100, 6)
    terms = random_integers(rng, TERM_BITS, (len(cycles), CONFIG.pixels, CONFIG.lanes))
    for marks, now in zip(cycles, terms, strict=True):
        marks["terms"], marks["shift"] = to_port(now, TERM_BITS), int(rng.integers(3) == 0)
    recorded = await play(dut, cycles + [{"valid": 0}], ["accumulators", "done"])
    sums, modulus = None, 1 << CONFIG.accumulator_bits
    for marks, now, outputs in zip(cycles, terms, recorded[AccumulatorBank.latency :], strict=True):
        if marks["valid"]:
            sums = now + (0 if marks["first"] else sums << CONFIG.pass_shift * marks["shift"])
        assert outputs["done"] == (marks["valid"] and marks["last"])
        if sums is not None:
            found = from_port(outputs["accumulators"], CONFIG.accumulator_bits, sums.shape)
            np.testing.assert_array_equal(found % modulus, sums % modulus)


def test_accumulator_bank(tmp_path):
    run_bench(AccumulatorBank(CONFIG, term_bits=TERM_BITS), __name__, tmp_path)
