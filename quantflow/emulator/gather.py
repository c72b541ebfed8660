"""Which words a compute instruction reads."""

import numpy as np


def source_taps(pads, instruction, rows, block, wy, wx):
    """Values [oy, og, p, ky, kx, c, lanes] of one window position, and which exist (no lanes).

    `rows` are the output rows asked for, int [n].
    """
    map_, pixels = instruction.source, pads.config.pixels
    oy, og, p, ky, kx, c = np.ix_(
        rows, range(instruction.output_groups), range(pixels),
        range(instruction.kernel_rows), range(instruction.kernel_columns), range(instruction.input_blocks),
    )  # fmt: skip
    row = instruction.first_row + oy * instruction.output_row_step
    row = row + wy * instruction.window_row_step + ky * instruction.kernel_row_step
    step = instruction.kernel_column_step
    phase = instruction.first.phase + wx * instruction.window_phase_step + kx * step.phase
    bank = instruction.first.bank + kx * step.bank + phase // map_.phases
    group = instruction.first.group + og * instruction.output_group_step
    unit = pixels * (group + wx * instruction.window_group_step + kx * step.group) + bank + p
    phase = phase % map_.phases
    inside = (row >= 0) & (row < instruction.rows) & (unit >= 0) & (c >= 0)
    inside = inside & (unit < instruction.columns + (phase < instruction.columns_remainder))
    address = map_.address + block * instruction.output_block_stride
    address = address + oy * instruction.output_row_stride + wy * instruction.window_row_stride
    address = address + ky * instruction.kernel_row_stride + c * map_.block_stride
    address = pads.checked(address + phase * map_.phase_stride + unit // pixels, inside)
    words = pads.activations[unit % pixels, address]
    return pads.as_operand(words, instruction.source_unsigned), inside


def residual_taps(pads, instruction, rows, block):
    """Values [oy, og, p, c, lanes] of the residual map, 0 where no pixel is written."""
    map_, pixels, first = instruction.residual, pads.config.pixels, instruction.residual_first
    oy, og, p, c = np.ix_(
        rows, range(instruction.output_groups), range(pixels), range(instruction.residual_blocks)
    )  # fmt: skip
    inside = (og * pixels + p < instruction.output_columns) & (oy >= 0) & (c >= 0)
    unit = pixels * (first.group + og * instruction.residual_group_step) + first.bank + p
    address = map_.address + block * instruction.residual_output_block_stride + oy * map_.row_stride
    address = address + c * map_.block_stride + first.phase * map_.phase_stride + unit // pixels
    words = pads.activations[unit % pixels, pads.checked(address, inside)]
    return np.where(inside[..., None], pads.as_operand(words, instruction.residual_unsigned), 0)
