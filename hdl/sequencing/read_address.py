"""From a step's row and column to the banks' addresses."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.delay import delayed
from hdl.layouts import struct_layout
from hdl.sequencing.address_arithmetic import constant_product, phase_product
from hdl.sequencing.read_sequencer import marks_layout, step_layout
from quantflow import isa


class ReadAddress(wiring.Component):
    """Addresses of the P words that a step reads, one per bank, and which pixels exist.

        unit = P * group + bank                        of pixel 0; pixel p has unit + p
        inside[p] = 0 <= row < rows and 0 <= unit + p < columns + (phase < columns_remainder)
                    or, in the residual map, p < columns_left
        addresses[b] = row_address + phase * phase_stride + group + (b < bank)

    all addresses modulo 2**activation_address_bits: bank b serves pixel b - bank of this group,
    or, where b < bank, pixel b + P - bank, whose word lies one group further. `latency` cycles
    from `operand` to `addresses`, `marks`, `inside` and `offset` (the bank of pixel 0). `error`
    pulses a cycle later where a pixel that exists has an address beyond the scratchpad.

    Ports: instruction In(isa.Compute), constant from two cycles before its first operand to its
    last; operand In(step_layout); addresses Out, P addresses; marks Out(marks_layout); inside
    Out(P); offset Out(bank_bits); error Out(1).
    """

    latency = 3

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "operand": In(step_layout(config)),
            "addresses": Out(data.ArrayLayout(config.activation_address_bits, config.pixels)),
            "marks": Out(marks_layout()),
            "inside": Out(config.pixels),
            "offset": Out(config.bank_bits),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        operand = self.operand
        m.d.comb += self.marks.eq(delayed(m, operand.marks, self.latency, name="marks"))
        bank = delayed(m, operand.position.bank, self.latency - 1, name="bank")
        m.d.sync += self.offset.eq(bank)
        address = self._address(m)
        self._inside(m)
        following = Signal.like(address)
        beyond, beyond_following = Signal(), Signal()
        m.d.comb += following.eq(address + 1)
        m.d.sync += [
            *(word.eq(Mux(index < bank, following, address)) for index, word in enumerate(self.addresses)),
            beyond.eq(address >= self.config.activation_depth),
            beyond_following.eq(following >= self.config.activation_depth),
        ]
        wraps = Cat(self.offset + pixel >= self.config.pixels for pixel in range(self.config.pixels))
        wrong = (self.inside & ~wraps).any() & beyond | (self.inside & wraps).any() & beyond_following
        m.d.sync += self.error.eq(self.marks.valid & wrong)
        return m

    def _address(self, m):
        """Two stages: the address in the group of pixel 0."""
        operand, instruction = self.operand, self.instruction
        names = ("sum", "product", "residual_product", "address")
        sum_, product, residual_product, address = (Signal.like(operand.row_address, name=n) for n in names)
        residual = delayed(m, operand.residual, 1, name="residual")
        m.d.sync += [
            sum_.eq(operand.row_address + operand.position.group),
            product.eq(phase_product(operand.position.phase, instruction.source.phase_stride)),
            # The residual's phase is the same in all its steps: a register changes with the instruction.
            residual_product.eq(phase_product(instruction.residual_first.phase, instruction.residual.phase_stride)),
            address.eq(sum_ + Mux(residual, residual_product, product)),
        ]
        return address

    def _inside(self, m):
        """Three stages: the row and the limit, the columns left of it, each pixel's comparison."""
        instruction, operand = self.instruction, self.operand
        bits = self.config.extent_bits + 2 + self.config.bank_bits
        row_exists = operand.residual | (operand.row >= 0) & (operand.row < instruction.rows)
        row_exists = delayed(m, row_exists, self.latency - 1, name="row_exists")
        limit, unit, left = (Signal(signed(bits), name=name) for name in ("limit", "unit", "left"))
        columns = instruction.columns + (operand.position.phase < instruction.columns_remainder)
        source_unit = constant_product(operand.position.group, self.config.pixels) + operand.position.bank
        m.d.sync += [
            # Pixel 0 of a residual's group always exists: it counts as column 0 of those that are left.
            limit.eq(Mux(operand.residual, operand.columns_left, columns)),
            unit.eq(Mux(operand.residual, 0, source_unit)),
            left.eq(limit - unit),
        ]
        unit = delayed(m, unit, 1, name="unit")
        for pixel in range(self.config.pixels):
            m.d.sync += self.inside[pixel].eq(row_exists & (unit >= -pixel) & (left > pixel))
