"""The resource model against the machines measured, and against Yosys afresh."""

import pytest

from boards.sizing import model
from boards.sizing.machine import may_pack
from boards.synthesis import synthesize
from hdl.accelerator import accelerator_verilog
from quantflow.config import Config

TOLERANCE = 0.15  # of look-up tables
SMALL = Config(
    pixels=2, lanes=2, port_bits=32, activation_depth=256, weight_depth=128, parameter_depth=32, accumulator_bits=24
)


def test_every_machine_measured_is_estimated_by_a_fit_that_has_not_seen_it():
    families = [family for family, _, _ in model.measurements()]
    assert len(families) >= 12 and set(families) == {"ecp5", "xilinx-7"}
    for family, config, used in model.measurements():
        unseen = model.estimate(config, family, leaving_out=config)
        assert abs(unseen.lut / used.lut - 1) < TOLERANCE, (family, config)
        assert (unseen.dsp, unseen.block_ram) == (used.dsp, used.block_ram), (family, config)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ecp5", "xilinx-7"])
def test_a_machine_that_was_never_measured(family):
    """Block RAM and multipliers are exact, look-up tables close, of the gateware as it is now."""
    assert all(config != SMALL for _, config, _ in model.measurements())
    used = synthesize(accelerator_verilog(SMALL), family)
    estimated = model.estimate(SMALL, family)
    assert abs(estimated.lut / used.lut - 1) < TOLERANCE
    assert (estimated.dsp, estimated.block_ram) == (used.dsp, used.block_ram)


def test_more_of_anything_takes_no_less():
    for family in ("ecp5", "xilinx-7"):
        base = model.estimate(SMALL, family)
        for field, more in (("pixels", 3), ("lanes", 4), ("activation_depth", 4096), ("weight_depth", 4096)):
            larger = model.estimate(Config(**{**SMALL.to_json(), field: more}), family)
            assert not base.exceeding(larger), (family, field)


def test_families_that_were_not_measured_are_not_guessed():
    assert model.estimate(SMALL, "gowin") is None and not model.is_measured("gowin")


def test_two_weights_share_a_multiplier_only_where_both_fit():
    """8-bit activations: weights of 8 bits beside each other need 25 bits, of 4 bits 17."""
    fits = {
        (family, bits): may_pack(Config(pixels=1, lanes=2, weight_bits=bits, port_bits=32), family)
        for family in ("ecp5", "xilinx-7")
        for bits in (4, 8)
    }
    assert fits == {("ecp5", 4): True, ("ecp5", 8): False, ("xilinx-7", 4): True, ("xilinx-7", 8): True}
