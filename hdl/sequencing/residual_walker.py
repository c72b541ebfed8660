"""Which words of the residual map a step reads."""

from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.step_issuer import ResidualLevel
from hdl.sequencing.stride_generator import StrideGenerator
from quantflow import isa

ADDRESS_LEVELS = (ResidualLevel.OUTPUT_BLOCK, ResidualLevel.OUTPUT_ROW, ResidualLevel.BLOCK)


class ResidualWalker(wiring.Component):
    """Row, group and remaining columns of the residual map along its loops, as in `isa.Compute`.

        row_address = residual.address + ob * residual_output_block_stride
                      + oy * residual.row_stride + c * residual.block_stride
        group = residual_first.group + og * residual_group_step
        columns_left = output_columns - P * og

    `start` takes over the instruction's first values, each `advance` goes to the next ones, which
    are there `latency` cycles later; both as for `StrideGenerator`.

    Ports: instruction In(isa.Compute); start In(1); advance In, a bit per ResidualLevel;
    row_address Out; group, columns_left Out(extent_bits + 2, signed).
    """

    latency = StrideGenerator.latency

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "start": In(1),
            "advance": In(len(ResidualLevel)),
            "row_address": Out(config.activation_address_bits),
            "group": Out(signed(config.extent_bits + 2)),
            "columns_left": Out(signed(config.extent_bits + 2)),
        })

    def elaborate(self, platform):
        m = Module()
        instruction = self.instruction
        strides = (
            instruction.residual_output_block_stride,
            instruction.residual.row_stride,
            instruction.residual.block_stride,
        )
        self._add(m, "row_address", ADDRESS_LEVELS, instruction.residual.address, strides)
        by_group = (ResidualLevel.OUTPUT_GROUP,)
        self._add(m, "group", by_group, instruction.residual_first.group, (instruction.residual_group_step + 1,))
        self._add(m, "columns_left", by_group, instruction.output_columns, (-self.config.pixels,))
        return m

    def _add(self, m, name, levels, first, strides):
        output = getattr(self, name)
        m.submodules[name] = generator = StrideGenerator(len(ResidualLevel), len(output), strided=levels)
        m.d.comb += [
            generator.start.eq(self.start),
            generator.first.eq(first),
            generator.advance.eq(self.advance),
            *(generator.strides[index].eq(stride) for index, stride in enumerate(strides)),
            output.eq(generator.value),
        ]
