"""The way from a step's description to the array's activations."""

from amaranth import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.compute.bank_rotator import BankRotator
from hdl.delay import delayed
from hdl.layouts import Vector, activation_word, operand_word, struct_layout
from hdl.sequencing.read_address import ReadAddress
from hdl.sequencing.read_sequencer import marks_layout, step_layout
from quantflow import isa


class ActivationReader(wiring.Component):
    """Reads the words of a step's P pixels: addresses, bank reads, masks, rotation, the array's operands.

    For each cycle with `operand.marks.valid` the pixels' operands, zeros where they do not exist,
    come `latency` cycles later with `marks`. `read_data` answers `read_addresses` one cycle later.
    `weight_address` leaves one cycle behind the bank addresses, so that a weight word that is
    captured in one register meets its activations. No back-pressure.

    Ports: instruction In(isa.Compute), as ReadAddress wants it; operand In(step_layout);
    read_enable Out(1); read_addresses Out, P addresses; read_data In, P activation words;
    weight_address Out; activations Out, P operand words; inside Out(P); marks Out(marks_layout);
    error_address Out(1), a pulse where a word that exists lies beyond the scratchpad.
    """

    latency = ReadAddress.latency + BankRotator.latency

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "operand": In(step_layout(config)),
            "read_enable": Out(1),
            "read_addresses": Out(data.ArrayLayout(config.activation_address_bits, config.pixels)),
            "read_data": In(Vector(activation_word(config), config.pixels)),
            "weight_address": Out(config.weight_address_bits),
            "activations": Out(Vector(operand_word(config), config.pixels)),
            "inside": Out(config.pixels),
            "marks": Out(marks_layout()),
            "error_address": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.read_address = address = ReadAddress(self.config)
        m.submodules.bank_rotator = rotator = BankRotator(self.config)
        weight_address = delayed(m, self.operand.weight_address, address.latency + 1, name="weight_address_delayed")
        m.d.comb += [
            address.instruction.eq(self.instruction),
            address.operand.eq(self.operand),
            self.read_enable.eq(address.marks.valid),
            self.read_addresses.eq(address.addresses),
            self.weight_address.eq(weight_address),
            rotator.offset.eq(address.offset),
            rotator.inside.eq(address.inside),
            rotator.unsigned_words.eq(address.marks.unsigned),
            rotator.words.eq(self.read_data),
            self.activations.eq(rotator.activations),
            self.inside.eq(rotator.activations_inside),
            self.marks.eq(delayed(m, address.marks, rotator.latency, name="marks_delayed")),
            self.error_address.eq(address.error),
        ]
        return m
