"""From placed stages to a program: tiles, the loads and stores around them, tokens, order."""

from dataclasses import dataclass, replace

from quantflow.compiler.dependencies import Access, Entry, Space, add_tokens
from quantflow.compiler.instructions import Work, compute_fields
from quantflow.compiler.operands import Operands
from quantflow.compiler.ordering import in_order_of_start
from quantflow.compiler.overlaps import Overlaps, work_cycles
from quantflow.compiler.sequence import tiles
from quantflow.compiler.tiles import rows_of, views
from quantflow.compiler.weights import pieces
from quantflow.compiler.words import Words
from quantflow.isa import Compute


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a program does beside computing."""

    load_weights: bool = True
    trace_offsets: dict | None = None  # bytes in Region.OUTPUT of the maps that are stored for comparison


class Schedule:
    """Builds one program's entries, in the order in which they are fetched."""

    def __init__(self, stages, maps, columns, placement, image, config, options):
        self.stages, self.maps, self.columns, self.placement = stages, maps, columns, placement
        self.config = config
        self.words = Words(stages, placement, image, config, load=options.load_weights)
        self.operands = Operands(stages, placement, config, options.trace_offsets)
        self.overlaps = Overlaps(config)
        self.entries = []
        for index in range(len(stages)):
            self._stage(index)
        add_tokens(self.entries)
        self.entries = in_order_of_start(self.entries)

    def _stage(self, index):
        stage = self.stages[index]
        whole = pieces(stage, self.config, resident=self.placement.resident)
        sequence = tiles(
            stage,
            self.placement.plans[index],
            self.config,
            few_first=self.operands.is_loaded_by(index),
            few_last=stage.destination.map in self.placement.outputs,
            chunk_most=self.words.chunk_most(index),
            group=self.words.group(index),
            grow_chunks=self.words.load,
        )
        self.operands.begin(index, sequence)
        for number, tile in enumerate(sequence):
            self.entries += self.operands.needed(number)
            if len(whole) == 1:
                self._piece(index, number, tile, range(self.columns.interleave[index]), whole[0])
            else:
                for group, columns in _groups(stage, tile, self.columns.interleave[index], self.config):
                    for piece in whole:
                        self._piece(index, number, group, columns, piece, partial=piece is not whole[-1])
            self.entries += self.operands.finished(number)

    def _piece(self, index, number, tile, columns, piece, *, partial=False):
        """Compute a tile's columns from each of `columns` on, by one piece of its steps."""
        stage = self.stages[index]
        loads, weight_address, parameter_address = self.words.needed(index, tile, piece)
        self.entries += loads + self.operands.ahead(number)
        for column in columns:
            if column >= stage.output_shape[2]:
                continue
            work = Work(
                tile=tile,
                column=column,
                interleave=self.columns.interleave[index],
                piece=piece,
                partial=partial,
                weight_address=weight_address,
                parameter_address=parameter_address,
                source=self.operands.place("source", number),
                residual=self.operands.place("residual", number) if stage.residual is not None else None,
                destination=self.operands.place("destination", number),
            )
            self.entries.append(self._entry(index, work))

    def _entry(self, index, work):
        stage, tile = self.stages[index], work.tile
        reads = _rows_read(stage, work, tile.rows)
        if stage.weight_words:
            words = work.piece.words * (1 if stage.uniform else tile.block_count)
            reads.append(Access(Space.WEIGHT, work.weight_address, work.weight_address + words))
            parameters = (work.parameter_address, work.parameter_address + tile.block_count)
            reads.append(Access(Space.PARAMETER, *parameters))
        view = stage.destination
        rows, blocks = view.first_row + tile.row, view.first_block + tile.first_block
        written = work.destination.interval(rows, tile.rows, blocks, tile.block_count)
        cycles = work_cycles(stage, work, self.config)
        overlaps = self.overlaps.take(stage, work, lambda count: _rows_read(stage, work, count))
        return Entry(
            type=Compute,
            fields=compute_fields(stage, work, self.maps, self.config) | {"overlaps": int(overlaps)},
            stage=index,
            label=_label(stage, work),
            cause="",
            reads=reads,
            writes=[] if work.partial else [Access(Space.ACTIVATION, *written)],
            cycles=cycles + (0 if overlaps else self.overlaps.window),
            array_cycles=cycles,
        )


def _groups(stage, tile, interleave, config):
    """(tile of one row, first columns) of each group of a tile's results."""
    apart = interleave * config.pixels
    for row in range(tile.row, tile.row + tile.rows):
        for column in range(interleave):
            for first in range(column, stage.output_shape[2], apart):
                yield replace(tile, row=row, rows=1), (first,)


def _rows_read(stage, work, rows):
    """What the first rows of a tile read of the activation banks."""
    found = []
    for role, place in (("source", work.source), ("residual", work.residual)):
        if place is None or (role == "residual" and not work.piece.residual):
            continue
        low, high = rows_of(stage, role, work.tile.row, rows)
        part = stage if role == "source" else stage.residual
        count = stage.input_blocks if role == "source" else part.blocks
        view = views(stage)[role]
        first = view.first_block + work.tile.first_block * part.block_step
        count += part.block_step * (work.tile.block_count - 1)
        found.append(Access(Space.ACTIVATION, *place.interval(view.first_row + low, high - low, first, count)))
    return found


def _label(stage, work):
    tile, label = work.tile, stage.name
    if tile.rows != stage.output_shape[1]:
        label += f" rows {tile.row} to {tile.row + tile.rows - 1}"
    if tile.block_count != stage.output_blocks:
        label += f" blocks {tile.first_block} to {tile.first_block + tile.block_count - 1}"
    if work.interleave > 1:
        label += f" columns {work.column}, {work.column + work.interleave}, ..."
    if work.piece.words != stage.weight_words:
        label += f" words {work.piece.first_word} to {work.piece.first_word + work.piece.words - 1}"
    return label
