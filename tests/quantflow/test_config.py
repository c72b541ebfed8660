"""The configuration's derived values, and every contradiction that it refuses."""

import pytest

from quantflow.config import Config
from quantflow.registers import identity

BASE = {"pixels": 3, "lanes": 4, "port_bits": 32}


def refused(**changes):
    with pytest.raises(ValueError) as error:
        Config(**(BASE | changes))
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "pixels",
        "activation_depth",
        "weight_depth",
        "parameter_depth",
        "queue_depth",
        "outstanding_bursts",
        "watchdog_cycles",
    ],
)
def test_counts_are_positive(name):
    assert refused(**{name: 0}) == f"{name} is at least 1, not 0"


@pytest.mark.parametrize("lanes", [0, 1, 3, 12])
def test_lanes(lanes):
    assert refused(lanes=lanes) == f"lanes is a power of two, at least 2, not {lanes}"


@pytest.mark.parametrize("requantizers", [0, 4])
def test_requantizers(requantizers):
    assert refused(requantizers=requantizers) == f"requantizers is 1 to pixels (3), not {requantizers}"


@pytest.mark.parametrize("name", ["activation_bits", "weight_bits"])
@pytest.mark.parametrize("bits", [1, 17])
def test_operand_bits(name, bits):
    assert refused(**{name: bits}) == f"{name} is 2 to 16, not {bits}"


def test_products_per_dsp():
    assert refused(products_per_dsp=3) == "products_per_dsp is 1 or 2, not 3"
    assert refused(products_per_dsp=2, activation_bits=9) == (
        "products_per_dsp is 1 where activation_bits + 2 * weight_bits is above 24 (here 25): "
        "the two weights take one bit more than that in a multiplier of 25 bits"
    )
    assert Config(**BASE, products_per_dsp=2).products_per_dsp == 2


@pytest.mark.parametrize("bits", [15, 49])
def test_accumulator_holds_a_product(bits):
    assert refused(accumulator_bits=bits) == f"accumulator_bits is 16 to 48, not {bits}"


def test_enumerated_values():
    assert refused(port_bits=48) == "port_bits is 32, 64, 128 or 256, not 48"
    assert refused(burst_beats=8) == "burst_beats is 16, 32, 64, 128 or 256, not 8"
    assert refused(memory_address_bits=15) == "memory_address_bits is 16 to 32, not 15"
    assert refused(waiting_beats=0) == "waiting_beats is at least 1, not 0"
    assert refused(profile_depth=1) == "profile_depth is 0 or at least 2, not 1"


@pytest.mark.parametrize("bits", [3, 15])
def test_extent_bits(bits):
    assert refused(extent_bits=bits) == f"extent_bits is 4 to 14, not {bits}"


@pytest.mark.parametrize("bits", [0, 5])
def test_phase_bits(bits):
    assert refused(phase_bits=bits) == f"phase_bits is 1 to 4, or 0 where pixels is 1, not {bits}"
    assert refused(pixels=1, phase_bits=bits - 6) == f"phase_bits is 0 to 4, not {bits - 6}"


@pytest.mark.parametrize(("bits", "step"), [(0, 15), (1, 1), (2, 3), (4, 15)])
def test_most_column_step(bits, step):
    """Phases below 2**phase_bits, or, without any, a step of 4 bits."""
    assert Config(**(BASE | {"pixels": 1, "phase_bits": bits})).most_column_step == step


def test_derived_values_worked_by_hand():
    config = Config(
        pixels=7,
        lanes=8,
        requantizers=2,
        activation_bits=6,
        weight_bits=4,
        activation_depth=1000,
        weight_depth=512,
        parameter_depth=5,
        accumulator_bits=24,
    )
    assert config.multipliers == 448
    assert config.drain_cycles == 4
    assert (config.activation_container_bits, config.activation_word_bits, config.bank_row_beats) == (8, 64, 7)
    assert config.weight_widths == (2, 4)
    assert [config.weight_word_beats(width) for width in config.weight_widths] == [2, 4]
    assert config.shift_bits == 5  # shifts from -7 to 23
    assert config.parameter_word_beats == 5  # 8 * (24 + 5 + 6) = 280 bits
    assert config.activation_address_bits == 11
    assert config.weight_address_bits == 10
    assert config.parameter_address_bits == 3
    assert config.bank_bits == 3
    assert config.port_bytes == 8


@pytest.mark.parametrize(("pixels", "bank_bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4)])
def test_bank_bits(pixels, bank_bits):
    assert Config(**(BASE | {"pixels": pixels})).bank_bits == bank_bits


def test_weight_widths_take_at_least_one_beat():
    # A word of 2 * 2 weights has 8, 16, 32 and 64 bits; the port moves 32.
    config = Config(pixels=1, lanes=2, activation_bits=16, weight_bits=16, port_bits=32)
    assert config.weight_widths == (8, 16)
    # Weights of 4 bits would fill half a beat: they are kept in elements of 8.
    assert Config(pixels=1, lanes=2, weight_bits=4, port_bits=32).weight_widths == (8,)


def test_ports_carry_a_beat_together():
    config = Config(pixels=3, lanes=16, port_bits=64, ports=4)
    assert (config.port_bytes, config.beat_bits, config.beat_bytes) == (8, 256, 32)
    assert config.bank_row_beats == 2  # 3 * 128 of 512 bits
    assert config.weight_widths == (2, 4, 8)
    assert [config.weight_word_beats(width) for width in config.weight_widths] == [2, 4, 8]


def test_ports():
    assert refused(ports=3) == "ports is 1, 2 or 4, not 3"
    message = "ports * port_bits is at most 64, which is a weight word of 16-bit elements, not 128"
    assert refused(lanes=2, ports=4) == message


def test_json_gives_the_configuration_back():
    config = Config(**BASE)
    assert Config(**config.to_json()) == config


def test_identity_tells_configurations_apart():
    config = Config(**BASE)
    assert identity(config) == identity(Config(**BASE))
    changed = [Config(**(config.to_json() | {name: value})) for name, value in (("pixels", 4), ("queue_depth", 9))]
    assert len({identity(one) for one in [config, *changed]}) == 3
