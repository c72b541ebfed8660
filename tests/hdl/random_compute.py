"""Random legal compute instructions, with maps laid out as a compiler would."""

from dataclasses import dataclass

from quantflow.isa import Compute, Map, Operation, Position


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A layer: what an instruction computes, before it has addresses."""

    operation: Operation
    kernel: tuple  # rows, columns
    stride: int
    pooled: bool  # 2x2 maximum behind it
    padding: tuple  # above, left
    outputs: tuple  # rows, columns
    source: tuple  # rows, columns
    blocks: tuple  # input, output


def position(column, phases, pixels):
    unit = column // phases
    return Position(phase=column % phases, bank=unit % pixels, group=unit // pixels)


def map_words(rows, columns, blocks, phases, pixels):
    """Strides (row, block, phase) of a map without gaps, and its size."""
    phase_stride = -(-columns // (phases * pixels))
    return (phases * phase_stride, rows * phases * phase_stride, phase_stride), (
        blocks * rows * phases * phase_stride
    )


def random_shape(rng, *, wide=False):
    """`wide`: 1x1 kernels on several groups, whose drain takes longer than their steps."""
    maximum = rng.random() < 0.25 and not wide
    pooled = not maximum and rng.random() < 0.4
    kernel = (1, 1) if wide else (3, 3) if maximum else tuple(int(n) for n in rng.integers(1, 4, 2))
    stride = 2 if maximum else int(rng.integers(1, 4))
    padding = tuple(int(rng.integers(0, side)) for side in kernel)
    outputs = tuple(int(n) for n in rng.integers(1, 6, 2))
    reach = [(n * (1 + pooled) - 1) * stride + k - p for n, k, p in zip(outputs, kernel, padding, strict=True)]
    source = tuple(max(1, int(n - rng.integers(0, 3))) for n in reach)
    blocks = tuple(int(n) for n in rng.integers(1, 4, 2))
    return Shape(
        operation=Operation.MAXIMUM if maximum else Operation.CONVOLVE,
        kernel=kernel,
        stride=stride,
        pooled=pooled,
        padding=padding,
        outputs=outputs,
        source=source,
        blocks=(1, blocks[1]) if maximum else blocks,
    )


def place(rng, config, shape):
    """An instruction for the layer, at random addresses; None where it does not fit."""
    pixels = config.pixels
    phases = shape.stride * (2 if shape.pooled else 1)
    target_phases = int(rng.integers(1, 1 + (3 if config.requantizers == 1 else min(3, config.drain_cycles))))
    source_blocks = shape.blocks[1 if shape.operation == Operation.MAXIMUM else 0]
    source_strides, source_size = map_words(*shape.source, source_blocks, phases, pixels)
    target_strides, target_size = map_words(*shape.outputs, shape.blocks[1], target_phases, pixels)
    weights = shape.blocks[0] * shape.blocks[1] * shape.kernel[0] * shape.kernel[1]
    spare = config.activation_depth - source_size - target_size
    if spare < 0 or weights > config.weight_depth or phases >= 1 << config.phase_bits:
        return None
    start = int(rng.integers(0, spare + 1))
    source, target = (start, start + source_size) if rng.random() < 0.5 else (start + target_size, start)
    first = position(-shape.padding[1], phases, pixels)
    words = 1 << config.activation_address_bits
    window = 2 if shape.pooled else 1
    return Compute(
        wait=0,
        signal=0,
        operation=int(shape.operation),
        relu=int(rng.integers(2)),
        output_bits=int(rng.integers(2, config.activation_bits + 1)),
        source=Map(
            address=(source - shape.padding[0] * source_strides[0]) % words,
            row_stride=source_strides[0],
            block_stride=source_strides[1],
            phase_stride=source_strides[2],
            phases=phases,
        ),
        rows=shape.source[0],
        columns=shape.source[1] // phases,
        columns_remainder=shape.source[1] % phases,
        first_row=-shape.padding[0],
        first=first,
        output_blocks=shape.blocks[1],
        output_rows=shape.outputs[0],
        output_groups=-(-shape.outputs[1] // pixels),
        output_columns=shape.outputs[1],
        window_rows=window,
        window_columns=window,
        kernel_rows=shape.kernel[0],
        kernel_columns=shape.kernel[1],
        input_blocks=shape.blocks[0],
        output_row_step=phases,
        output_row_stride=phases * source_strides[0],
        window_row_step=shape.stride if shape.pooled else 0,
        window_row_stride=shape.stride * source_strides[0] if shape.pooled else 0,
        window_phase_step=shape.stride if shape.pooled else 0,
        weight_address=int(rng.integers(0, config.weight_depth - weights + 1)),
        parameter_address=int(rng.integers(0, config.parameter_depth - shape.blocks[1] + 1)),
        destination=Map(
            address=target,
            row_stride=target_strides[0],
            block_stride=target_strides[1],
            phase_stride=target_strides[2],
            phases=target_phases,
        ),
        group_step=position(pixels, target_phases, pixels),
        word_step=position(config.drain_cycles, target_phases, pixels),
    )


def random_compute(rng, config, *, wide=False):
    """A random legal instruction for the machine."""
    while (instruction := place(rng, config, random_shape(rng, wide=wide))) is None:
        pass
    return instruction


def array_cycles(instruction, config):
    """Cycles of an instruction's groups, each max(steps, D)."""
    groups = instruction.output_blocks * instruction.output_rows * instruction.output_groups
    groups *= instruction.window_rows * instruction.window_columns
    steps = instruction.kernel_rows * instruction.kernel_columns * instruction.input_blocks
    return groups * max(steps, config.drain_cycles)
