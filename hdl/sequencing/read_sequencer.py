"""The order in which a compute instruction reads its operands."""

from amaranth import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.column_walker import ColumnWalker, position_layout
from hdl.sequencing.step_issuer import ReadLevel, StepIssuer
from hdl.sequencing.stride_generator import StrideGenerator
from hdl.sequencing.weight_counter import WeightCounter
from quantflow import isa

ADDRESS_LEVELS = (
    ReadLevel.OUTPUT_BLOCK,
    ReadLevel.OUTPUT_ROW,
    ReadLevel.WINDOW_ROW,
    ReadLevel.KERNEL_ROW,
    ReadLevel.INPUT_BLOCK,
)
ROW_LEVELS = (ReadLevel.OUTPUT_ROW, ReadLevel.WINDOW_ROW, ReadLevel.KERNEL_ROW)
COLUMN_LEVELS = (ReadLevel.OUTPUT_GROUP, ReadLevel.WINDOW_COLUMN, ReadLevel.KERNEL_COLUMN)


def step_layout(config):
    """One step of the array: where its activations and its weight word lie."""
    return data.StructLayout({
        "valid": 1,
        "first": 1,  # first step of its group
        "last": 1,  # last step of its group
        "row": signed(config.extent_bits + 2),  # row of the source, negative above the map
        "row_address": config.activation_address_bits,  # of that row's word in phase 0 and group 0
        "position": position_layout(config),  # column of pixel 0
        "weight_address": config.weight_address_bits,
    })


class ReadSequencer(wiring.Component):
    """Issues the steps of a compute instruction, as nested and addressed in `isa.Compute`.

    `start` begins; `operand` describes a step in each cycle with `operand.valid`, `latency` cycles
    after `start` at the earliest, at the pace of `StepIssuer`. `step` is set one cycle before.
    Rows and groups leave the map on both sides: what exists is not decided here.
    `error_weight_address` pulses where a convolution's weight word does not exist.

    Ports: instruction In(isa.Compute), constant from start on; start, yield_read In(1); step
    Out(1); operand Out(step_layout); error_weight_address Out(1).
    """

    latency = StepIssuer.latency

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "start": In(1),
            "yield_read": In(1),
            "step": Out(1),
            "operand": Out(step_layout(config)),
            "error_weight_address": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        instruction = self.instruction
        m.submodules.issuer = issuer = StepIssuer(self.config)
        counts = (
            instruction.output_blocks,
            instruction.output_rows,
            instruction.output_groups,
            instruction.window_rows,
            instruction.window_columns,
            instruction.kernel_rows,
            instruction.kernel_columns,
            instruction.input_blocks,
        )
        m.d.comb += [
            issuer.start.eq(self.start),
            *(issuer.counts[level].eq(count) for level, count in zip(ReadLevel, counts, strict=True)),
            issuer.yield_read.eq(self.yield_read),
            self.step.eq(issuer.step),
            self.operand.valid.eq(issuer.valid),
            self.operand.first.eq(issuer.first),
            self.operand.last.eq(issuer.last),
        ]
        self._rows(m, issuer)
        self._columns(m, issuer)
        self._weights(m, issuer)
        return m

    def _rows(self, m, issuer):
        instruction, operand = self.instruction, self.operand
        maximum = instruction.operation == isa.Operation.MAXIMUM
        address = StrideGenerator(len(ReadLevel), len(operand.row_address), strided=ADDRESS_LEVELS)
        address_strides = (
            Mux(maximum, instruction.source.block_stride, 0),
            instruction.output_row_stride,
            instruction.window_row_stride,
            instruction.source.row_stride,
            instruction.source.block_stride,
        )
        row = StrideGenerator(len(ReadLevel), len(operand.row), strided=ROW_LEVELS)
        row_strides = (instruction.output_row_step, instruction.window_row_step, 1)
        m.submodules.row_address, m.submodules.row = address, row
        m.d.comb += [address.first.eq(instruction.source.address), row.first.eq(instruction.first_row)]
        for generator, strides, value in (
            (address, address_strides, operand.row_address),
            (row, row_strides, operand.row),
        ):
            m.d.comb += [
                generator.start.eq(self.start),
                generator.advance.eq(issuer.advance),
                *(generator.strides[index].eq(stride) for index, stride in enumerate(strides)),
                value.eq(generator.value),
            ]

    def _columns(self, m, issuer):
        instruction = self.instruction
        m.submodules.column = column = ColumnWalker(self.config, len(ReadLevel), stepped=COLUMN_LEVELS)
        m.d.comb += [
            column.start.eq(self.start),
            column.first.eq(instruction.first),
            column.phases.eq(instruction.source.phases),
            column.steps[COLUMN_LEVELS.index(ReadLevel.OUTPUT_GROUP)].group.eq(1),
            column.steps[COLUMN_LEVELS.index(ReadLevel.WINDOW_COLUMN)].phase.eq(instruction.window_phase_step),
            column.steps[COLUMN_LEVELS.index(ReadLevel.KERNEL_COLUMN)].phase.eq(1),
            column.advance.eq(issuer.advance),
            self.operand.position.eq(column.position),
        ]

    def _weights(self, m, issuer):
        instruction = self.instruction
        m.submodules.weight_counter = counter = WeightCounter(self.config)
        m.d.comb += [
            counter.start.eq(self.start),
            counter.first.eq(instruction.weight_address),
            counter.valid.eq(issuer.valid & (instruction.operation == isa.Operation.CONVOLVE)),
            counter.last.eq(issuer.last),
            counter.last_of_block.eq(issuer.advance[ReadLevel.OUTPUT_BLOCK]),
            self.operand.weight_address.eq(counter.address),
            self.error_weight_address.eq(counter.error),
        ]
