"""What is read from nextpnr's reports: the right clock, whether it is met, the critical path in words."""

import pytest

from boards.flow.families import FLOWS
from boards.flow.timing import describe, timing_of

CLOCK, OTHER = "$glbnet$clk", "oscillator"
TYPES = {
    "unit.count_TRELLIS_FF_Q_3": "TRELLIS_FF",
    "unit.sum_LUT4_Z_1": "LUT4",
    "unit.sum_CCU2C_S0": "CCU2C",
    "unit.product_MULT18X18D_P18": "MULT18X18D",
    "unit.done_TRELLIS_FF_Q": "TRELLIS_FF",
    "unit.memory.0.0": "DP16KD",
}


def _part(kind, ns, cell, port, net=None):
    part = {"type": kind, "delay": ns, "from": {}, "to": {"cell": cell, "port": port}}
    return part | ({"net": net} if net else {})


def _path(*middle, ends=(f"posedge {CLOCK}", f"posedge {CLOCK}"), first="unit.count_TRELLIS_FF_Q_3"):
    last = "unit.done_TRELLIS_FF_Q"
    parts = [_part("clk-to-q", 0.5, first, "Q"), *middle, _part("setup", 0.25, last, "DI")]
    return {"from": ends[0], "to": ends[1], "path": parts}


def _report(*paths, **fmax):
    fmax = fmax or {CLOCK: {"achieved": 61.5, "constraint": 60.002}}
    return {"fmax": fmax, "critical_paths": list(paths), "utilization": {"TRELLIS_FF": {"used": 2, "available": 9}}}


def _timing(report):
    return timing_of(report, TYPES, FLOWS["ecp5"])


ALL_KINDS = _path(
    _part("routing", 1.0, "unit.sum_LUT4_Z_1", "A", "unit.count[3]"),
    _part("logic", 0.25, "unit.sum_LUT4_Z_1", "F"),
    _part("routing", 0.75, "unit.sum_CCU2C_S0$CCU2_COMB0", "B", "unit.sum"),
    _part("logic", 0.5, "unit.sum_CCU2C_S0$CCU2_COMB0", "FCO"),
    _part("logic", 0.0, "unit.sum_CCU2C_S0$CCU2_COMB1", "F"),
    _part("logic", 3.0, "unit.product_MULT18X18D_P18", "P18"),
    _part("routing", 2.0, "unit.done_TRELLIS_FF_Q", "DI", "unit.product[18]"),
)


def test_critical_path_in_words():
    """Ends by their signals, what lies between, and both shares of the time."""
    timing = _timing(_report(ALL_KINDS))
    assert timing.words == (
        "from register unit.count[3] through 1 LUT, 1 multiplier, a carry chain of 2 cells to register unit.done: "
        "8.2 ns, 4.5 in logic and 3.8 in routing"
    )
    assert [step.ns for step in timing.critical_path if step.kind == "routing"] == [1.0, 0.75, 2.0]


def test_a_path_from_a_memory_straight_to_a_register():
    path = _path(
        _part("routing", 1.0, "unit.done_TRELLIS_FF_Q", "M", "unit.memory.0.0_DOB1[3]"), first="unit.memory.0.0"
    )
    assert _timing(_report(path)).words.startswith("from block RAM unit.memory to register unit.done: 1.8 ns")


def test_paths_of_pins_and_other_clocks_are_not_the_clock_s():
    """The longest from register to register of the accelerator's clock counts, wherever it stands."""
    slow = _part("routing", 50.0, "unit.done_TRELLIS_FF_Q", "DI", "pin")
    pins = _path(slow, ends=("<async>", f"posedge {CLOCK}"))
    crossing = _path(slow, ends=(f"posedge {OTHER}", f"posedge {CLOCK}"))
    assert _timing(_report(pins, crossing, ALL_KINDS)).words == _timing(_report(ALL_KINDS)).words
    assert describe(_timing(_report(pins)).critical_path) == "no path from register to register"


@pytest.mark.parametrize(
    ("fast", "slow", "met"), [((61, 60), (99, 25), True), ((59, 60), (99, 25), False), ((61, 60), (20, 25), False)]
)
def test_every_clock_must_be_met_and_the_fastest_is_the_accelerator_s(fast, slow, met):
    clocks = {
        name: {"achieved": achieved, "constraint": constraint}
        for name, (achieved, constraint) in {OTHER: slow, CLOCK: fast}.items()
    }
    timing = _timing(_report(ALL_KINDS, **clocks))
    assert (timing.mhz, timing.constraint_mhz, timing.met) == (*fast, met)


def test_resources():
    """A RAM's write port takes two LUTs; cells that no resource names count as nothing."""
    utilization = {"TRELLIS_COMB": 10, "TRELLIS_RAMW": 3, "TRELLIS_FF": 7, "DP16KD": 2, "DCCA": 1}
    used = FLOWS["ecp5"].count({cell: {"used": number, "available": 99} for cell, number in utilization.items()})
    assert (used.lut, used.ff, used.dsp, used.block_ram) == (16, 7, 0, 2)
