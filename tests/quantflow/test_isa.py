"""Encoding: round trips of random instructions, field ranges, and the layout that gateware reads."""

import random
from dataclasses import fields, replace

import pytest

from hdl.layouts import struct_layout
from quantflow import isa
from quantflow.config import Config

CONFIGS = [
    Config(pixels=3, lanes=4, port_bits=32),
    Config(pixels=7, lanes=8, activation_depth=5000, weight_depth=100, extent_bits=8, phase_bits=2),
    Config(pixels=1, lanes=4, port_bits=32, phase_bits=0, residuals=False),
]
NAMES = ["narrow", "deep", "lean"]
CONFIG, LEAN = CONFIGS[0], CONFIGS[2]


def field_range(field, config):
    """As `isa.field_range`, counted out."""
    bits, values = isa.field_bits(field, config), 2 ** isa.field_bits(field, config)
    if bits and field.metadata["signed"]:
        return -values // 2, values // 2 - 1
    return field.metadata["least"], field.metadata["least"] + values - 1


def stored(field, struct):
    """What the gateware sees of a field: by how much it is above its least value."""
    return getattr(struct, field.name) - field.metadata["least"]


def random_value(type_, config, rng):
    """An instruction or struct with every field at random, ends of its range included."""
    values = {}
    for field in fields(type_):
        if "struct" in field.metadata:
            values[field.name] = random_value(*isa.struct_of(field, config), rng)
        elif field.init:
            low, high = field_range(field, config)
            values[field.name] = rng.choice([low, high, rng.randint(low, high)])
    return type_(**values)


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
@pytest.mark.parametrize("type_", isa.INSTRUCTIONS.values(), ids=lambda type_: type_.__name__)
def test_decode_inverts_encode(type_, config):
    rng = random.Random(1)
    for _ in range(50):
        instruction = random_value(type_, config, rng)
        word = isa.encode(instruction, config)
        assert 0 <= word < 1 << isa.instruction_bits(config)
        assert isa.decode(word, config) == instruction


@pytest.mark.parametrize("opcode", isa.Opcode, ids=lambda opcode: opcode.name)
def test_opcodes_stand_lowest(opcode):
    instruction = random_value(isa.INSTRUCTIONS[opcode], CONFIG, random.Random(2))
    assert instruction.opcode == opcode
    assert isa.encode(instruction, CONFIG) & ((1 << isa.OPCODE_BITS) - 1) == opcode


@pytest.mark.parametrize("type_", isa.INSTRUCTIONS.values(), ids=lambda type_: type_.__name__)
@pytest.mark.parametrize("config", [CONFIG, LEAN], ids=["narrow", "lean"])
def test_every_field_is_range_checked(type_, config):
    instruction = random_value(type_, config, random.Random(3))
    for field in fields(type_):
        if "struct" in field.metadata or not field.init:
            continue
        low, high = field_range(field, config)
        for value in (low - 1, high + 1):
            with pytest.raises(ValueError) as error:
                isa.encode(replace(instruction, **{field.name: value}), config)
            name = f"{type_.__name__.lower()}.{field.name}"
            assert str(error.value) == f"{name} is {low} to {high} in this configuration, not {value}"


def test_fields_of_structs_are_range_checked():
    compute = random_value(isa.Compute, CONFIG, random.Random(4))
    with pytest.raises(ValueError, match=r"^map\.phases is 1 to 8 in this configuration, not 9$"):
        isa.encode(replace(compute, source=replace(compute.source, phases=9)), CONFIG)


@pytest.mark.parametrize("opcode", [0, 4, 7])
def test_opcodes_that_do_not_exist(opcode):
    with pytest.raises(ValueError, match=f"^opcode {opcode} does not exist$"):
        isa.decode(opcode, CONFIG)


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_instructions_are_whole_beats_and_no_larger_than_needed(config):
    widest = max(isa.struct_bits(type_, config) for type_ in isa.INSTRUCTIONS.values()) + isa.SEAL_BITS
    assert isa.instruction_bits(config) % config.port_bits == 0
    assert widest <= isa.instruction_bits(config) < widest + config.port_bits


@pytest.mark.parametrize("type_", isa.INSTRUCTIONS.values(), ids=lambda type_: type_.__name__)
def test_gateware_reads_the_same_layout(type_):
    layout = struct_layout(type_, CONFIG)
    assert layout.size == isa.struct_bits(type_, CONFIG)
    instruction = random_value(type_, CONFIG, random.Random(5))
    view = layout.from_bits(isa.encode(instruction, CONFIG))
    for field in (field for field in fields(type_) if isa.field_bits(field, CONFIG)):
        if "struct" not in field.metadata:
            assert view[field.name] == stored(field, instruction), field.name
        else:
            part = getattr(instruction, field.name)
            for inner in fields(part):
                assert view[field.name][inner.name] == stored(inner, part), (field.name, inner.name)


def test_fields_that_a_machine_does_without():
    """With one bank, one phase and no residuals."""
    compute = random_value(isa.Compute, LEAN, random.Random(6))
    assert struct_layout(isa.Compute, LEAN).size == isa.struct_bits(isa.Compute, LEAN)
    without = {f.name for f in fields(isa.Compute) if not isa.field_bits(f, LEAN)}
    residual = {f.name for f in fields(isa.Compute) if f.name.startswith("residual")}
    assert without == residual | {"columns_remainder", "window_phase_step", "word_step", "pixel_step"}
    assert isa.struct_bits(isa.Position, LEAN) == LEAN.extent_bits
    assert isa.struct_bits(isa.Map, LEAN) == 3 * LEAN.activation_address_bits
    assert (compute.source.phases, compute.source.phase_stride, compute.first.phase, compute.first.bank) == (1, 0, 0, 0)
    assert (compute.residual.phases, compute.residual.row_stride, compute.residual_group_step) == (1, 0, 1)
    with pytest.raises(ValueError, match=r"^map\.phases is 1 to 1 in this configuration, not 2$"):
        isa.encode(replace(compute, source=replace(compute.source, phases=2)), LEAN)
    with pytest.raises(ValueError, match=r"^map\.address is 0 to 0 in this configuration, not 3$"):
        isa.encode(replace(compute, residual=replace(compute.residual, address=3)), LEAN)
