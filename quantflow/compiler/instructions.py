"""From a tile of a stage and places for its operands to the fields of a compute instruction."""

from dataclasses import dataclass

from quantflow.compiler.layouts import Placed
from quantflow.compiler.tiles import Tile
from quantflow.compiler.weights import Piece
from quantflow.isa import Map, Operation, Position

NO_MAP = Map(address=0, row_stride=0, block_stride=0, phase_stride=0, phases=1)
NOWHERE = Position(phase=0, bank=0, group=0)


@dataclass(frozen=True, kw_only=True)
class Work:
    """One compute instruction: every `interleave`-th column of a tile from `column` on, some of its steps.

    Sums that several instructions make are those of one group, P columns at the most.
    """

    tile: Tile
    source: Placed
    residual: Placed | None
    destination: Placed
    column: int
    interleave: int
    piece: Piece
    partial: bool  # more steps of the same sums follow
    weight_address: int
    parameter_address: int

    def columns(self, stage):
        """Columns written."""
        count = len(range(self.column, stage.output_shape[2], self.interleave))
        whole = self.piece.residual and not self.partial
        return count if whole else min(count, self.source.layout.pixels)


def compute_fields(stage, work, maps, config):
    """All fields of the instruction but its tokens and `overlaps`; `maps` are the FeatureMaps by name."""
    columns = work.columns(stage)
    return {
        "operation": stage.operation,
        "continues": int(not work.piece.residual),
        "partial": int(work.partial),
        "uniform": int(stage.uniform),
        "source_unsigned": int(not maps[stage.source.map].format.signed),
        "least": stage.least,
        "dropped_bits": stage.dropped_bits,
        "output_blocks": work.tile.block_count,
        "output_rows": work.tile.rows,
        "output_groups": -(-columns // config.pixels),
        "output_columns": columns,
        "window_rows": stage.pool[0],
        "window_columns": stage.pool[1],
        "passes": stage.passes,
        "kernel_rows": len(work.piece.rows),
        "kernel_columns": len(work.piece.columns),
        "input_blocks": len(work.piece.blocks) if stage.operation == Operation.CONVOLVE else 1,
        "weight_address": work.weight_address,
        "parameter_address": work.parameter_address,
        **_source_fields(stage, work, config),
        **_residual_fields(stage, work, maps),
        **_residual_map(stage, work, config),
        **_destination_fields(stage, work, config),
    }


def _source_fields(stage, work, config):
    view, tile, layout = stage.source, work.tile, work.source.layout
    (top, left), window, pool = stage.window.padding[:2], stage.window, stage.pool
    row_step = window.stride[0] * pool[0]
    first_row = tile.row * row_step - top + work.piece.rows.start * window.dilation[0]
    # Whole groups that a view leaves out on the left are left out of the address, so that columns count from 0.
    groups, ahead = divmod(view.first_column, layout.phases * layout.pixels)
    first_column = ahead - left + work.column * stage.column_step + work.piece.columns.start * window.dilation[1]
    block = view.first_block + tile.first_block * stage.block_step + work.piece.blocks.start
    width = ahead + stage.input_shape[2]
    row_stride = layout.row_stride
    window_step = layout.position(window.stride[1] if pool[1] > 1 else 0)
    return {
        "source": work.source.map(view.first_row + first_row, block, config, shift=groups),
        "rows": stage.input_shape[1],
        "columns": width // layout.phases,
        "columns_remainder": width % layout.phases,
        "first_row": first_row,
        "first": layout.position(first_column),
        "output_block_stride": stage.block_step * layout.block_stride,
        "output_group_step": _group_step(stage.column_step, stage, work, config),
        "output_row_step": row_step,
        "output_row_stride": row_step * row_stride,
        "window_row_step": window.stride[0] if pool[0] > 1 else 0,
        "window_row_stride": window.stride[0] * row_stride if pool[0] > 1 else 0,
        "window_phase_step": window_step.phase,
        "window_group_step": window_step.group,
        "kernel_row_step": window.dilation[0],
        "kernel_row_stride": window.dilation[0] * row_stride,
        "kernel_column_step": layout.position(window.dilation[1]),
    }


def _group_step(columns, stage, work, config):
    """Groups of a map from a group of results to the next, neighbouring results being `columns` apart in it.

    One where there are phases, because a map has as many of them as its columns are read apart.
    """
    has_next = work.columns(stage) > config.pixels
    return columns if has_next and not config.phase_bits else 1


def _residual_fields(stage, work, maps):
    part = stage.residual
    if part is None or not work.piece.residual:
        nothing = dict.fromkeys(("residual_passes", "residual_unsigned", "residual_aligned"), 0)
        return nothing | {"residual_blocks": 1}
    return {
        "residual_passes": part.passes,
        "residual_blocks": part.blocks,
        "residual_unsigned": int(not maps[part.view.map].format.signed),
        "residual_aligned": int(part.aligned),
    }


def _residual_map(stage, work, config):
    part = stage.residual
    if part is None or not work.piece.residual:
        nothing = {"residual": NO_MAP, "residual_first": NOWHERE}
        return nothing | {"residual_group_step": 1, "residual_output_block_stride": 0}
    row = part.view.first_row + work.tile.row * part.stride[0]
    block = part.view.first_block + work.tile.first_block * part.block_step
    layout = work.residual.layout
    return {
        "residual": work.residual.map(row, block, config, rows_apart=part.stride[0]),
        "residual_first": layout.position(part.view.first_column + work.column * part.stride[1]),
        "residual_group_step": _group_step(part.stride[1], stage, work, config),
        "residual_output_block_stride": part.block_step * layout.block_stride,
    }


def _destination_fields(stage, work, config):
    view, layout = stage.destination, work.destination.layout
    step = work.interleave * view.column_step
    return {
        "destination": work.destination.map(
            view.first_row + work.tile.row, view.first_block + work.tile.first_block, config
        ),
        "first_written": layout.position(view.first_column + work.column * view.column_step),
        "group_step": layout.position(step * config.pixels),
        "word_step": layout.position(step * config.drain_cycles) if config.several_pixels else NOWHERE,
        "pixel_step": layout.position(step) if config.several_pixels else NOWHERE,
    }
