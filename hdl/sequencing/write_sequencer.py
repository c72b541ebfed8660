"""The order in which a compute instruction's results leave the drain bank."""

from enum import IntEnum

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.column_walker import ColumnWalker, position_layout
from hdl.sequencing.loop_nest import LoopNest
from hdl.sequencing.stride_generator import StrideGenerator
from quantflow import isa


class WriteLevel(IntEnum):
    """The loops of a compute instruction as its results are written, outermost first."""

    OUTPUT_BLOCK = 0
    OUTPUT_ROW = 1
    OUTPUT_GROUP = 2
    WINDOW_ROW = 3
    WINDOW_COLUMN = 4
    DRAIN = 5  # the D cycles in which a group's words leave


WINDOW_LEVELS = slice(WriteLevel.WINDOW_ROW, WriteLevel.WINDOW_COLUMN + 1)
ADDRESS_LEVELS = (WriteLevel.OUTPUT_BLOCK, WriteLevel.OUTPUT_ROW)
COLUMN_LEVELS = (WriteLevel.OUTPUT_GROUP, WriteLevel.DRAIN)


def result_layout(config):
    """The R words of one drain cycle: where they go, if they go anywhere."""
    return data.StructLayout({
        "valid": 1,
        "first": 1,  # first position of the pooling window
        "last": 1,  # last position of the pooling window: the words are written
        "slot": max(1, (config.drain_cycles - 1).bit_length()),  # drain cycle k
        "row_address": config.activation_address_bits,
        "position": position_layout(config),  # column of word 0
        "columns_left": signed(config.extent_bits + 2),  # columns from word 0 to the end of the row
    })


class WriteSequencer(wiring.Component):
    """Follows the drain bank and tells where each cycle's words belong, as in `isa.Compute`.

    Each cycle with `valid` is a drain cycle: `result` describes its words one cycle later. `start`
    comes `lead` cycles before an instruction's first, and behind the last `result` of the one before.
    `parameter_address` belongs to the words of the next cycle, so that the scratchpad's answer
    comes with the words and has time to pass a register. `error_parameter_address` pulses where
    a convolution's parameter word does not exist.

    Ports: instruction In(isa.Compute), constant from start on; start, valid In(1);
    parameter_address Out; result Out(result_layout); error_parameter_address Out(1).
    """

    latency = 1
    lead = 2  # from `start` to the first `valid`

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "start": In(1),
            "valid": In(1),
            "parameter_address": Out(config.parameter_address_bits),
            "result": Out(result_layout(config)),
            "error_parameter_address": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        instruction, result = self.instruction, self.result
        m.submodules.nest = nest = LoopNest(len(WriteLevel), self.config.extent_bits)
        highest = (
            instruction.output_blocks,
            instruction.output_rows,
            instruction.output_groups,
            instruction.window_rows,
            instruction.window_columns,
            self.config.drain_cycles - 1,
        )
        advance, next_slot = nest.advance, Signal()
        m.d.comb += [
            nest.start.eq(self.start),
            nest.step.eq(self.valid),
            *(nest.highest[level].eq(number) for level, number in zip(WriteLevel, highest, strict=True)),
        ]
        m.d.sync += [
            next_slot.eq(advance[WriteLevel.DRAIN]),
            result.valid.eq(self.valid),
            result.first.eq(nest.first[WINDOW_LEVELS].all()),
            result.last.eq(nest.last[WINDOW_LEVELS].all()),
        ]
        with m.If(result.valid):
            m.d.sync += result.slot.eq(Mux(next_slot, result.slot + 1, 0))
        with m.If(self.start):
            m.d.sync += result.slot.eq(0)
        self._parameters(m, advance[WriteLevel.OUTPUT_BLOCK])
        self._row_address(m, advance)
        self._columns(m, advance)
        return m

    def _parameters(self, m, next_block):
        convolve = self.instruction.operation == isa.Operation.CONVOLVE
        address = Signal.like(self.parameter_address)
        missing = address >= self.config.parameter_depth
        m.d.comb += self.parameter_address.eq(Mux(next_block, address + 1, address))
        m.d.sync += [
            self.error_parameter_address.eq(self.valid & convolve & missing),
            address.eq(Mux(self.start, self.instruction.parameter_address, self.parameter_address)),
        ]

    def _row_address(self, m, advance):
        destination, row_address = self.instruction.destination, self.result.row_address
        generator = StrideGenerator(len(WriteLevel), len(row_address), strided=ADDRESS_LEVELS)
        m.submodules.row_address = generator
        m.d.comb += [
            generator.start.eq(self.start),
            generator.first.eq(destination.address),
            generator.strides[ADDRESS_LEVELS.index(WriteLevel.OUTPUT_BLOCK)].eq(destination.block_stride),
            generator.strides[ADDRESS_LEVELS.index(WriteLevel.OUTPUT_ROW)].eq(destination.row_stride),
            generator.advance.eq(advance),
            row_address.eq(generator.value),
        ]

    def _columns(self, m, advance):
        instruction, result = self.instruction, self.result
        group, drain = (COLUMN_LEVELS.index(level) for level in COLUMN_LEVELS)
        m.submodules.column = column = ColumnWalker(self.config, len(WriteLevel), stepped=COLUMN_LEVELS)
        left = StrideGenerator(len(WriteLevel), len(result.columns_left), strided=COLUMN_LEVELS)
        m.submodules.columns_left = left
        m.d.comb += [
            column.start.eq(self.start),
            column.first.eq(instruction.first_written),
            column.highest_phase.eq(instruction.destination.phases),
            column.steps[group].eq(instruction.group_step),
            column.steps[drain].eq(instruction.pixel_step),
            column.advance.eq(advance),
            result.position.eq(column.position),
            left.start.eq(self.start),
            left.first.eq(instruction.output_columns),
            left.strides[group].eq(-self.config.pixels),
            left.strides[drain].eq(-1),
            left.advance.eq(advance),
            result.columns_left.eq(left.value),
        ]
