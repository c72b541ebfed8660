"""Where feature maps and weights lie: scratchpad layouts, weight chunks, checked against depths."""

from dataclasses import dataclass

from quantflow.compiler.stage import blocks
from quantflow.errors import UserError
from quantflow.isa import Map, Operation, Position


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A feature map in the activation scratchpad: isa.Map with the map's own extents."""

    channels: int
    height: int
    width: int
    phases: int
    pixels: int
    lanes: int
    address: int = 0

    @property
    def blocks(self):
        return blocks(self.channels, self.lanes)

    @property
    def groups(self):
        """Words that one row takes in each bank, for each block and phase."""
        units = -(-self.width // self.phases)
        return -(-units // self.pixels)

    @property
    def row_words(self):
        return self.blocks * self.phases * self.groups

    @property
    def words(self):
        """Words of each bank that the map takes."""
        return self.height * self.row_words

    def map(self, config, row=0):
        """The instruction's view, its address being that of `row`, which may lie outside."""
        return Map(
            address=(self.address + row * self.row_words) % (1 << config.activation_address_bits),
            row_stride=self.row_words,
            block_stride=self.phases * self.groups,
            phase_stride=self.groups,
            phases=self.phases,
        )

    def position(self, column):
        """Mixed-radix digits of a column, which may be negative."""
        unit, phase = divmod(column, self.phases)
        group, bank = divmod(unit, self.pixels)
        return Position(phase=phase, bank=bank, group=group)


def place_maps(stages, config):
    """Layouts of every stage's input, and of the last one's output.

    Maps alternate between the two ends of the scratchpad, so that a stage's input and output are
    there together. A map's phases are its reader's; the network's output has one.
    """
    shapes = [stage.input_shape for stage in stages] + [stages[-1].output_shape]
    phases = [stage.phases for stage in stages] + [1]
    layouts = []
    for index, ((channels, height, width), count) in enumerate(zip(shapes, phases, strict=True)):
        extents = {"channels": channels, "height": height, "width": width, "phases": count}
        layout = Layout(pixels=config.pixels, lanes=config.lanes, **extents)
        if index % 2:
            extents["address"] = config.activation_depth - layout.words
            layout = Layout(pixels=config.pixels, lanes=config.lanes, **extents)
        layouts.append(layout)
    for stage, source, destination in zip(stages, layouts, layouts[1:], strict=False):
        needed = source.words + destination.words
        if needed > config.activation_depth:
            raise UserError(
                f"layer {stage.name} does not fit: its input and output need {needed} words in each bank "
                f"of the activation scratchpad, which has {config.activation_depth}"
            )
        _check_write_banks(stage, destination, config)
    return layouts


def _check_write_banks(stage, layout, config):
    """The R words of a drain cycle must go to R different banks."""
    apart = config.drain_cycles
    if config.requantizers > 1 and layout.phases > apart:
        raise UserError(
            f"layer {stage.name}'s results are read with a column step of {layout.phases}, which needs "
            f"pixels / requantizers of at least {layout.phases}; it is {apart} in this configuration"
        )


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Output-channel blocks of a stage whose weights are in the scratchpads together."""

    stage: int
    first_block: int
    block_count: int
    weight_address: int
    parameter_address: int
    reuses: bool  # the chunk before the last one lay there: wait until it has been used


def place_weights(stages, config):
    """Chunks of all stages in the order they are loaded, and whether all stay resident.

    Where the network's weights fit, each stage is one chunk and nothing is ever overwritten.
    Otherwise chunks alternate between the scratchpads' halves: one is loaded while the other is
    computed with.
    """
    lanes = config.lanes
    convolutions = [(i, stage) for i, stage in enumerate(stages) if stage.operation == Operation.CONVOLVE]
    words = sum(stage.output_blocks(lanes) * stage.steps(lanes) for _, stage in convolutions)
    parameters = sum(stage.output_blocks(lanes) for _, stage in convolutions)
    resident = words <= config.weight_depth and parameters <= config.parameter_depth
    chunks, weight_address, parameter_address = [], 0, 0
    for index, stage in convolutions:
        steps, total = stage.steps(lanes), stage.output_blocks(lanes)
        size = total if resident else _half_blocks(stage, steps, config)
        for first in range(0, total, size):
            if not resident:
                half = len(chunks) % 2
                weight_address = half * (config.weight_depth // 2)
                parameter_address = half * (config.parameter_depth // 2)
            count = min(size, total - first)
            chunks.append(
                Chunk(
                    stage=index,
                    first_block=first,
                    block_count=count,
                    weight_address=weight_address,
                    parameter_address=parameter_address,
                    reuses=not resident and len(chunks) >= 2,
                )
            )
            weight_address += count * steps
            parameter_address += count
    return chunks, resident


def _half_blocks(stage, steps, config):
    """Output blocks whose weights fit one half of the scratchpads."""
    half = config.weight_depth // 2
    if steps > half:
        raise UserError(
            f"layer {stage.name} does not fit: one block of its output channels needs {steps} words in "
            f"half of the weight scratchpad, which has {half}"
        )
    return max(1, min(half // steps, config.parameter_depth // 2))
