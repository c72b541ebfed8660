"""The words that travel through the machine, as Amaranth layouts of a configuration."""

from dataclasses import fields

from amaranth import Format, Value, signed, unsigned
from amaranth.lib import data

from quantflow import isa


class Vector(data.ArrayLayout):
    """An array layout that waves and generated Verilog show as one number.

    A plain ArrayLayout adds one wire per element to every signal and port that has it, which is
    most of the text of a machine whose words have hundreds of elements.
    """

    def format(self, value, format_spec):
        return Format("{:x}", Value.cast(value))


def activation_word(config):
    """One pixel's `lanes` channels."""
    return Vector(signed(config.activation_bits), config.lanes)


def operand_word(config):
    """One pixel's `lanes` channels on their way to the array, signed ones or unsigned ones of activation_bits.

    They have a bit more than either, but -2**activation_bits is not among them.
    """
    return Vector(signed(config.operand_bits), config.lanes)


def product_bits(config):
    """Bits of an operand's product with a weight."""
    return config.activation_bits + config.weight_bits


def weight_word(config):
    """What the array needs for one step, indexed [output channel][input channel]."""
    return Vector(Vector(signed(config.weight_bits), config.lanes), config.lanes)


def accumulator_word(config):
    """One pixel's `lanes` output channels, before requantization."""
    return Vector(signed(config.accumulator_bits), config.lanes)


def parameter_word(config):
    """Bias, shift and greatest result of `lanes` output channels; a shift lies MAX_LEFT_SHIFT higher than it is."""
    record = {"bias": signed(config.accumulator_bits), "shift": config.shift_bits, "greatest": config.activation_bits}
    return Vector(data.StructLayout(record), config.lanes)


def bank_row(config):
    """The words of one address of all activation banks."""
    return Vector(activation_word(config), config.pixels)


def row_write(config):
    """A row on its way into the activation scratchpad."""
    return data.StructLayout({"address": config.word_address_bits, "data": bank_row(config)})


def word_write(word, address_bits):
    """A write port that always accepts: `data` to `address` where `enable`."""
    return data.StructLayout({"enable": 1, "address": address_bits, "data": word})


def struct_layout(type_, config):
    """Layout of an instruction or struct of `quantflow.isa`; a field's bits say by how much it is above its `least`."""
    members = {}
    for f in fields(type_):
        struct, bits = isa.struct_of(f, config), isa.field_bits(f, config)
        if struct is not None:
            members[f.name] = struct_layout(*struct)
        else:
            members[f.name] = signed(bits) if bits and f.metadata["signed"] else unsigned(bits)
    return data.StructLayout(members)
