"""The array as a family's cells, behind what the flow does to its multipliers, under the tests of the array itself."""

import pytest

from hdl.datapath.mac_array import MacArray
from hdl.verilog import to_verilog
from sim.simulator import build
from tests.boards.flow.cells import FAMILIES, needs_icarus, netlist_of, verilog_of
from tests.hdl.datapath import test_mac_array

TOP = "MacArray"
pytestmark = needs_icarus


def array_of(config, family, folder):
    """The array's netlist."""
    return netlist_of(to_verilog(MacArray(config), TOP), TOP, family, folder)


def multipliers(array, family):
    return [cell for cell in array["cells"].values() if family.flow.kind(cell["type"]) == "multiplier"]


def run_array_tests(array, name, family, folder):
    """The array's own tests on its netlist; SystemExit where one fails."""
    built = build(verilog_of(array, TOP, family, folder), top=TOP, simulator="icarus")
    built.run(test_mac_array.__name__, folder=folder, environment={"CONFIG": name})


@pytest.mark.parametrize("name", test_mac_array.CONFIGS)
@pytest.mark.parametrize("kind", FAMILIES)
def test_sums_stay_what_they_are(kind, name, tmp_path):
    """Every sum of the array's own test; no multiplier is lost, and registers are where they should be."""
    family, config = FAMILIES[kind], test_mac_array.CONFIGS[name]
    array = array_of(config, family, tmp_path)
    cells = multipliers(array, family)
    products = config.multipliers // config.products_per_dsp
    assert len(cells) >= products
    if config.products_per_dsp == 1 or config.packed_weight_bits <= family.bits:  # else a product takes more than one
        assert len(cells) == products
        assert all(cell["parameters"].items() >= family.registers.items() and family.more(cell) for cell in cells)
    run_array_tests(array, name, family, tmp_path)


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_wrong_netlist_fails(kind, tmp_path):
    """Two wires of one multiplier's operand change places."""
    family, name = FAMILIES[kind], "two_lanes"
    array = array_of(test_mac_array.CONFIGS[name], family, tmp_path)
    nets = multipliers(array, family)[0]["connections"]
    if kind == "ecp5":
        nets["A16"], nets["A17"] = nets["A17"], nets["A16"]
    else:
        nets["A"][:2] = reversed(nets["A"][:2])
    with pytest.raises(SystemExit):
        run_array_tests(array, name, family, tmp_path)
