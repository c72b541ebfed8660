"""From placed stages to instructions: loads, computes and stores joined by tokens."""

from dataclasses import dataclass, field, replace

from quantflow.isa import Compute, Load, Map, Region, Store, Target, Unit

_NO_MAP = Map(address=0, row_stride=0, block_stride=0, phase_stride=0, phases=0)


@dataclass(kw_only=True)
class Entry:
    """An instruction on its way into the program; tokens are added as dependencies appear."""

    type: type
    fields: dict
    stage: int  # the stage that it serves
    label: str
    wait: int = 0
    signal: int = 0

    def instruction(self):
        return self.type(wait=self.wait, signal=self.signal, **self.fields)


@dataclass(kw_only=True)
class Placed:
    """Everything that the schedule reads: stages and where their numbers lie."""

    config: object
    stages: list
    layouts: list  # of each stage's input, and of the network's output
    chunks: list
    parameter_offsets: list = field(default_factory=list)  # bytes in the model region, for each chunk
    weight_offsets: list = field(default_factory=list)


def memory_width(stage, config):
    """Bits of one weight in memory: the narrowest that the machine unpacks and that holds it."""
    return next(width for width in config.weight_widths if width >= stage.weight_bits)


def input_strips(stage):
    """(first row, rows) of the output rows that one compute instruction makes, for the first stage.

    Each strip has twice the rows of the one before it: computing starts when the first few input
    rows are there, and few instructions follow.
    """
    strips, row, rows = [], 0, 1
    height = stage.output_shape[1]
    while row < height:
        count = min(rows, height - row)
        if height - row - count < rows:  # no crumb at the end
            count = height - row
        strips.append((row, count))
        row, rows = row + count, rows * 2
    return strips


class Schedule:
    """Builds one program. Units run their own instructions in order, so a token from the last of
    several loads says that all of them have finished."""

    def __init__(self, placed, *, load_weights, store_every_stage):
        self.placed, self.config = placed, placed.config
        self.load_weights, self.store_every_stage = load_weights, store_every_stage
        self.entries = []
        self._pending_load = None  # the last load that no compute has waited for yet
        self._last_compute = None
        self._stored = None  # a store that the next compute must wait for
        self._chunk_ends = []  # last compute of each chunk
        self._build()

    def _build(self):
        output_offset = 0
        for index, stage in enumerate(self.placed.stages):
            chunks = [(n, chunk) for n, chunk in enumerate(self.placed.chunks) if chunk.stage == index]
            for part, (number, chunk) in enumerate(chunks or [(None, None)]):
                if chunk is not None and self.load_weights:
                    self._load_chunk(number, chunk, stage)
                whole = (0, stage.output_shape[1])
                strips = input_strips(stage) if index == 0 and part == 0 else [whole]
                for strip in strips:
                    if index == 0 and part == 0:
                        self._load_input(stage, strip)
                    self._compute(index, chunk, strip)
                if chunk is not None:
                    self._chunk_ends.append(self._last_compute)
            if self.store_every_stage or index == len(self.placed.stages) - 1:
                output_offset += self._store(index, output_offset)

    def _add(self, type_, stage, label, **fields):
        self.entries.append(Entry(type=type_, fields=fields, stage=stage, label=label))
        return self.entries[-1]

    def _load_chunk(self, number, chunk, stage):
        parameters = self._load(
            chunk.stage,
            f"{stage.name}: biases and shifts",
            target=Target.PARAMETER,
            memory_address=self.placed.parameter_offsets[number],
            beats=chunk.block_count * self.config.parameter_word_beats,
            word_address=chunk.parameter_address,
        )
        if chunk.reuses:
            parameters.wait |= 1 << Unit.COMPUTE
            self._chunk_ends[number - 2].signal |= 1 << Unit.LOAD
        width = memory_width(stage, self.config)
        words = chunk.block_count * stage.steps(self.config.lanes)
        self._load(
            chunk.stage,
            f"{stage.name}: weights",
            target=Target.WEIGHT,
            width=width.bit_length() - 2,
            memory_address=self.placed.weight_offsets[number],
            beats=words * self.config.weight_word_beats(width),
            word_address=chunk.weight_address,
        )

    def _load_input(self, stage, strip):
        """The input rows that a strip needs and that no strip before it has loaded."""
        layout = self.placed.layouts[0]
        first = 0 if strip[0] == 0 else self._rows_needed(stage, strip[0] - 1)
        rows = self._rows_needed(stage, strip[0] + strip[1] - 1) - first
        if rows <= 0:
            return
        words = layout.width * layout.blocks
        row_bytes = words * self.config.activation_word_bits // 8
        self._load(
            0,
            f"input rows {first} to {first + rows - 1}",
            target=Target.ACTIVATION,
            region=Region.INPUT,
            memory_address=first * row_bytes,
            beats=rows * words * self.config.activation_word_beats,
            map=layout.map(self.config, first),
            rows=rows,
            columns=layout.width,
            blocks=layout.blocks,
        )

    def _rows_needed(self, stage, output_row):
        """Input rows that the output rows up to this one read."""
        last = (output_row * stage.pool[0] + stage.pool[0] - 1) * stage.window.stride[0]
        return max(0, min(stage.input_shape[1], last + stage.window.kernel[0] - stage.window.padding[0]))

    def _load(self, stage, label, **fields):
        unused = {"region": Region.MODEL, "width": 0, "word_address": 0, "map": _NO_MAP}
        entry = self._add(Load, stage, label, **unused | {"rows": 0, "columns": 0, "blocks": 0} | fields)
        self._pending_load = entry
        return entry

    def _compute(self, index, chunk, strip):
        stage, source, destination = self.placed.stages[index], *self.placed.layouts[index : index + 2]
        (row, rows), config = strip, self.config
        blocks = stage.output_blocks(config.lanes)
        label = stage.name
        if rows != stage.output_shape[1]:
            label += f" rows {row} to {row + rows - 1}"
        if chunk is not None and chunk.block_count != blocks:
            label += f" blocks {chunk.first_block} to {chunk.first_block + chunk.block_count - 1}"
        fields = compute_fields(stage, source, destination, row, config)
        if chunk is not None:
            target = fields["destination"]
            moved = target.address + chunk.first_block * target.block_stride
            fields["destination"] = replace(target, address=moved % (1 << config.activation_address_bits))
            blocks = chunk.block_count
            fields |= {"weight_address": chunk.weight_address, "parameter_address": chunk.parameter_address}
        entry = self._add(Compute, index, label, output_blocks=blocks, output_rows=rows, **fields)
        if self._pending_load is not None:
            self._pending_load.signal |= 1 << Unit.COMPUTE
            entry.wait |= 1 << Unit.LOAD
            self._pending_load = None
        if self._stored is not None:
            self._stored.signal |= 1 << Unit.COMPUTE
            entry.wait |= 1 << Unit.STORE
            self._stored = None
        self._last_compute = entry

    def _store(self, index, offset):
        """Store a stage's output at `offset` of the output region; returns its bytes."""
        layout = self.placed.layouts[index + 1]
        words = layout.height * layout.width * layout.blocks
        entry = self._add(
            Store,
            index,
            f"{self.placed.stages[index].name}: output",
            region=Region.OUTPUT,
            memory_address=offset,
            beats=words * self.config.activation_word_beats,
            map=layout.map(self.config),
            rows=layout.height,
            columns=layout.width,
            blocks=layout.blocks,
        )
        entry.wait |= 1 << Unit.COMPUTE
        self._last_compute.signal |= 1 << Unit.STORE
        self._stored = entry
        return words * self.config.activation_word_bits // 8


def compute_fields(stage, source, destination, row, config):
    """The fields of a compute instruction that do not depend on its chunk; `row` is its first."""
    top, left = stage.window.padding[:2]
    row_step = stage.window.stride[0] * stage.pool[0]
    first_row = row * row_step - top
    return {
        "operation": stage.operation,
        "relu": int(stage.relu),
        "output_bits": stage.output_bits,
        "source": source.map(config, first_row),
        "rows": source.height,
        "columns": source.width // source.phases,
        "columns_remainder": source.width % source.phases,
        "first_row": first_row,
        "first": source.position(-left),
        "output_groups": stage.groups(config),
        "output_columns": stage.output_shape[2],
        "window_rows": stage.pool[0],
        "window_columns": stage.pool[1],
        "kernel_rows": stage.window.kernel[0],
        "kernel_columns": stage.window.kernel[1],
        "input_blocks": stage.input_blocks(config.lanes),
        "output_row_step": row_step,
        "output_row_stride": row_step * source.row_words,
        "window_row_step": stage.window.stride[0] if stage.pool[0] > 1 else 0,
        "window_row_stride": stage.window.stride[0] * source.row_words if stage.pool[0] > 1 else 0,
        "window_phase_step": stage.window.stride[1] if stage.pool[1] > 1 else 0,
        "weight_address": 0,
        "parameter_address": 0,
        "destination": destination.map(config, row),
        "group_step": destination.position(config.pixels),
        "word_step": destination.position(config.drain_cycles),
    }


