"""The order in which a compute instruction reads its operands."""

from amaranth import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.column_walker import ColumnWalker, position_layout
from hdl.sequencing.residual_walker import ResidualWalker
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


def marks_layout():
    """What the array has to know of a step beside its operands."""
    return data.StructLayout({
        "valid": 1,
        "first": 1,  # the sums begin anew
        "shift": 1,  # the sums so far move left by config.pass_shift
        "last": 1,  # the sums behind this step are drained
        "initial": 1,  # as `last`, and they are the instruction's first
        "unsigned": 1,  # the activations are unsigned numbers
        "maximum": 1,  # the step is the vector unit's
    })


def step_layout(config):
    """One step of the array: where its activations and its weight word lie."""
    return data.StructLayout({
        "marks": marks_layout(),
        "residual": 1,  # read from the residual map, not from the source
        "row": signed(config.extent_bits + 2),  # row of the source, negative above the map
        "row_address": config.activation_address_bits,  # of that row's word in phase 0 and group 0
        "position": position_layout(config),  # column of pixel 0
        "columns_left": signed(config.extent_bits + 2),  # columns written from pixel 0 to the end of the row
        "weight_address": config.weight_address_bits,
    })


class ReadSequencer(wiring.Component):
    """Issues the steps of a compute instruction, as nested and addressed in `isa.Compute`.

    `start` begins; `operand` describes a step in each cycle with `operand.marks.valid`, `latency`
    cycles after `start` at the earliest, at the pace of `StepIssuer`. `step` and `ending` are set
    one cycle before. `start` may come two cycles behind `ending`. Rows and groups leave the source
    on both sides: what exists is not decided here. `error_weight_address` pulses where a
    convolution's weight word does not exist.

    Ports: instruction In(isa.Compute), constant from `start` to the cycle behind `ending`; start
    In(1); running, step, ending Out(1); operand Out(step_layout); error_weight_address
    Out(1). Spacing of groups: see StepIssuer.
    """

    latency = StepIssuer.latency

    def __init__(self, config, *, boundary_cycles, switch_cycles):
        self.config = config
        self._issuer = StepIssuer(config, boundary_cycles=boundary_cycles, switch_cycles=switch_cycles)
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "start": In(1),
            "running": Out(1),
            "step": Out(1),
            "ending": Out(1),
            "operand": Out(step_layout(config)),
            "error_weight_address": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        instruction, operand = self.instruction, self.operand
        m.submodules.issuer = issuer = self._issuer
        m.submodules.residual = residual = ResidualWalker(self.config)
        m.d.comb += [
            issuer.instruction.eq(instruction),
            issuer.start.eq(self.start),
            *(getattr(self, name).eq(getattr(issuer, name)) for name in ("running", "step", "ending")),
            *(operand.marks[name].eq(getattr(issuer, name)) for name in ("valid", "first", "shift", "last", "initial")),
            operand.marks.unsigned.eq(Mux(issuer.residual, instruction.residual_unsigned, instruction.source_unsigned)),
            operand.marks.maximum.eq(instruction.operation == isa.Operation.MAXIMUM),
            operand.residual.eq(issuer.residual),
            operand.columns_left.eq(residual.columns_left),
            residual.instruction.eq(instruction),
            residual.start.eq(self.start),
            residual.advance.eq(issuer.residual_advance),
        ]
        address = self._rows(m, issuer)
        position = self._columns(m, issuer)
        m.d.comb += [
            operand.row_address.eq(Mux(issuer.residual, residual.row_address, address)),
            operand.position.phase.eq(Mux(issuer.residual, instruction.residual_first.phase, position.phase)),
            operand.position.bank.eq(Mux(issuer.residual, instruction.residual_first.bank, position.bank)),
            operand.position.group.eq(Mux(issuer.residual, residual.group, position.group)),
        ]
        self._weights(m, issuer)
        return m

    def _rows(self, m, issuer):
        """The source's row, and that row's address, which is returned."""
        instruction, operand = self.instruction, self.operand
        address = StrideGenerator(len(ReadLevel), len(operand.row_address), strided=ADDRESS_LEVELS)
        address_strides = (
            instruction.output_block_stride,
            instruction.output_row_stride,
            instruction.window_row_stride,
            instruction.kernel_row_stride,
            instruction.source.block_stride,
        )
        row = StrideGenerator(len(ReadLevel), len(operand.row), strided=ROW_LEVELS)
        row_strides = (instruction.output_row_step, instruction.window_row_step, instruction.kernel_row_step)
        m.submodules.row_address, m.submodules.row = address, row
        m.d.comb += [
            address.first.eq(instruction.source.address),
            row.first.eq(instruction.first_row),
            operand.row.eq(row.value),
        ]
        for generator, strides in ((address, address_strides), (row, row_strides)):
            m.d.comb += [
                generator.start.eq(self.start),
                generator.advance.eq(issuer.advance),
                *(generator.strides[index].eq(stride) for index, stride in enumerate(strides)),
            ]
        return address.value

    def _columns(self, m, issuer):
        instruction = self.instruction
        m.submodules.column = column = ColumnWalker(self.config, len(ReadLevel), stepped=COLUMN_LEVELS)
        m.d.comb += [
            column.start.eq(self.start),
            column.first.eq(instruction.first),
            column.highest_phase.eq(instruction.source.phases),
            column.steps[COLUMN_LEVELS.index(ReadLevel.OUTPUT_GROUP)].group.eq(instruction.output_group_step + 1),
            column.steps[COLUMN_LEVELS.index(ReadLevel.WINDOW_COLUMN)].phase.eq(instruction.window_phase_step),
            column.steps[COLUMN_LEVELS.index(ReadLevel.WINDOW_COLUMN)].group.eq(instruction.window_group_step),
            column.steps[COLUMN_LEVELS.index(ReadLevel.KERNEL_COLUMN)].eq(instruction.kernel_column_step),
            column.advance.eq(issuer.advance),
        ]
        return column.position

    def _weights(self, m, issuer):
        instruction = self.instruction
        m.submodules.weight_counter = counter = WeightCounter(self.config)
        m.d.comb += [
            counter.start.eq(self.start),
            counter.first.eq(instruction.weight_address),
            counter.uniform.eq(instruction.uniform),
            counter.valid.eq(issuer.valid & (instruction.operation == isa.Operation.CONVOLVE)),
            counter.pass_end.eq(issuer.pass_end),
            counter.last.eq(issuer.group_end),
            counter.last_of_block.eq(issuer.block_end),
            self.operand.weight_address.eq(counter.address),
            self.error_weight_address.eq(counter.error),
        ]
