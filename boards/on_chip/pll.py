"""Settings of the PLLs of FPGAs that open tools place and route."""

from dataclasses import dataclass
from fractions import Fraction

from quantflow.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PLL:
    """Dividers of a PLL, as the primitive takes them, and the clock that they make.

    clock = oscillator * feedback / reference;  VCO = clock * output
    """

    oscillator: Fraction  # MHz
    reference: int  # divides the oscillator's clock before the phase detector
    feedback: int  # divides the PLL's clock before the phase detector; of iCE40, the VCO's
    output: int  # divides the VCO's clock
    clock: Fraction  # MHz

    @property
    def mhz(self):
        return float(self.clock)

    @property
    def detector(self):
        """MHz at the phase detector."""
        return self.oscillator / self.reference


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a family's PLL can do; frequencies in MHz."""

    source: str  # of these figures
    inputs: tuple[float, float]
    detector: tuple[float, float]
    vco: tuple[float, float]
    outputs: tuple[float, float]
    reference: int  # greatest divider
    feedback: int
    output: tuple[int, ...]  # dividers
    feedback_of_vco: bool = False  # the VCO's clock is fed back, not the divided one


LIMITS = {
    "ecp5": Limits(
        source="Lattice FPGA-DS-02012, sysCLOCK PLL timing; the detector's: ecppll of Project Trellis",
        inputs=(8, 400),
        detector=(3.125, 400),
        vco=(400, 800),
        outputs=(3.125, 400),
        reference=128,
        feedback=128,
        output=tuple(range(1, 129)),
    ),
    "ice40": Limits(
        source="Lattice FPGA-DS-02008 and FPGA-TN-02052; feedback path SIMPLE",
        inputs=(10, 133),
        detector=(10, 133),
        vco=(533, 1066),
        outputs=(16, 275),
        reference=16,
        feedback=128,
        output=tuple(1 << power for power in range(1, 7)),
        feedback_of_vco=True,
    ),
    "gowin": Limits(
        source="Gowin DS226 (GW2AR-18, speed grade C8/I7) and UG286",
        inputs=(3, 500),
        detector=(3, 500),
        vco=(500, 1250),
        outputs=(3.90625, 625),
        reference=64,
        feedback=64,
        output=(2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
    ),
}


def best_pll(family, oscillator_mhz, clock_mhz):
    """The PLL whose clock is the nearest to `clock_mhz` that is not above it; None where the oscillator is as near.

    Of several that make the same clock it is the one with the highest frequency at the phase detector, which jitters
    least, and then the one whose VCO runs nearest to the middle of its range. Raises UserError where the family's
    PLLs are not known, and where the clock cannot be made.
    """
    if family not in LIMITS:
        raise UserError(f"the PLLs of the family {family} are not known; known are those of {', '.join(LIMITS)}")
    limits = LIMITS[family]
    oscillator, asked = Fraction(oscillator_mhz), Fraction(clock_mhz)
    found = [pll for pll in _all(limits, oscillator) if pll.clock <= asked]
    middle = Fraction(sum(limits.vco)) / 2
    best = max(found, key=lambda pll: (pll.clock, pll.detector, -abs(_vco(limits, pll) - middle)), default=None)
    if oscillator <= asked and (best is None or best.clock <= oscillator):
        return None
    if best is None:
        lowest = min([oscillator, *(pll.clock for pll in _all(limits, oscillator))])
        raise UserError(
            f"a clock of {clock_mhz:g} MHz cannot be made of {oscillator_mhz:g} MHz by a PLL of the family {family}: "
            f"the lowest is {float(lowest):.4g} MHz"
        )
    return best


def _all(limits, oscillator):
    """Every PLL within the limits."""
    if not _within(oscillator, limits.inputs):
        return
    for reference in range(1, limits.reference + 1):
        detector = oscillator / reference
        if not _within(detector, limits.detector):
            continue
        for output in limits.output:
            for feedback in _feedbacks(limits, detector, output):
                clock = detector * feedback / (output if limits.feedback_of_vco else 1)
                pll = PLL(oscillator=oscillator, reference=reference, feedback=feedback, output=output, clock=clock)
                if _within(clock, limits.outputs):
                    yield pll


def _feedbacks(limits, detector, output):
    """The feedback dividers with which the VCO is within its range."""
    unit = detector if limits.feedback_of_vco else detector * output
    first = max(1, -(-Fraction(limits.vco[0]) // unit))
    return range(int(first), min(limits.feedback, int(limits.vco[1] // unit)) + 1)


def _vco(limits, pll):
    return pll.clock * pll.output


def _within(frequency, limits):
    return limits[0] <= frequency <= limits[1]
