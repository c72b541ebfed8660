"""How a stage is cut where some of its maps live in memory: how many rows at a time, in which buffers and order."""

from dataclasses import dataclass, field, replace

from quantflow.compiler.allocation import pack
from quantflow.compiler.tiles import blocks_read, chunk_limit, rows_of, strips, views, weight_beats
from quantflow.compiler.weights import parameter_words, total_words


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """Strips of one operand in the activation banks, taken in turns."""

    layout: object  # Layout of one of them
    first_block: int
    addresses: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where a stage's strips go, and in which order its tiles are computed."""

    rows: int  # most output rows of a tile
    chunks_outside: bool = False  # all strips for a chunk of output blocks, else all chunks for a strip
    chunk_blocks: int = 0  # output blocks of a chunk, where `chunks_outside`
    buffers: dict = field(default_factory=dict)  # of "source", "residual" and "destination", those in memory
    beats: int = 0  # of everything moved for the stage
    cycles: int = 0  # its array cycles or its beats, whichever are more, and what it begins with


def plan_stage(stage, layouts, in_memory, holes, resident, config):
    """The `Plan` that takes least time with what is `in_memory` (names of maps), or None if nothing fits.

    `holes` are the free intervals of the activation banks.
    """
    roles = [role for role, view in views(stage).items() if view.map in in_memory]
    weights = 0 if resident else weight_beats(stage, config)
    if not roles:
        beats = weights
        return Plan(rows=stage.output_shape[1], beats=beats, cycles=max(stage.cycles(config), beats))
    kept = resident or (total_words(stage) <= config.weight_depth and parameter_words(stage) <= config.parameter_depth)
    found = [_plan(stage, layouts, roles, holes, config, None, 1 if kept else 0)]
    if not kept:
        most = min(chunk_limit(stage, config, 2), max(1, config.parameter_depth // 2))
        found.append(_plan(stage, layouts, roles, holes, config, most, 1))
    found = [plan for plan in found if plan is not None]
    return min(found, key=lambda plan: (plan.cycles, plan.beats), default=None)


def _plan(stage, layouts, roles, holes, config, chunk_blocks, weight_passes):
    """The best plan of one order of loops; `weight_passes` is 0 where each strip loads all weights."""
    height, best = stage.output_shape[1], None
    for share in (1, 2, 4, 8, 16):
        most = -(-height // share)
        for copies in (2, 1):
            rows, buffers = _largest(stage, layouts, roles, holes, chunk_blocks, most, copies)
            if rows:
                break
        else:
            return best
        plan = _costed(stage, layouts, roles, config, rows, buffers, chunk_blocks, weight_passes)
        if best is None or plan.cycles < best.cycles:
            best = plan
    return best


def _largest(stage, layouts, roles, holes, chunk_blocks, most, copies):
    """(rows, buffers) of the highest strips, at most `most` rows, that fit `copies` times; (0, None) if none do."""
    low, high, best = 1, most, (0, None)
    while low <= high:
        rows = (low + high) // 2
        buffers = _place(stage, layouts, roles, holes, chunk_blocks, rows, copies)
        if buffers is None:
            high = rows - 1
        else:
            low, best = rows + 1, (rows, buffers)
    return best


def _place(stage, layouts, roles, holes, chunk_blocks, rows, copies):
    copies = 1 if rows == stage.output_shape[1] and chunk_blocks is None else copies
    shapes = {role: _buffer(stage, layouts, role, rows, chunk_blocks) for role in roles}
    addresses = pack([shapes[role][0].words for role in roles for _ in range(copies)], holes)
    if addresses is None:
        return None
    return {
        role: Buffers(
            layout=shapes[role][0],
            first_block=shapes[role][1],
            addresses=tuple(addresses[n * copies : (n + 1) * copies]),
        )
        for n, role in enumerate(roles)
    }


def _buffer(stage, layouts, role, rows, chunk_blocks):
    """(Layout, first block) of a strip: whole rows of all blocks, or the blocks needed where they lie apart."""
    layout = layouts[views(stage)[role].map]
    first, count = blocks_read(stage)[role]
    if role == "destination" and chunk_blocks is not None:
        return replace(layout, block_major=True).part(rows=rows, block_count=min(chunk_blocks, count)), first
    if not layout.block_major:
        first, count = 0, layout.blocks
    return layout.part(rows=_most_rows(stage, role, rows), block_count=count), first


def _most_rows(stage, role, rows):
    if role == "destination":
        return rows
    if role == "residual":
        return (rows - 1) * stage.residual.stride[0] + 1
    (kernel, _), (step, _), (dilation, _) = stage.window.kernel, stage.window.stride, stage.window.dilation
    return min(stage.input_shape[1], (rows * stage.pool[0] - 1) * step + (kernel - 1) * dilation + 1)


def _costed(stage, layouts, roles, config, rows, buffers, chunk_blocks, weight_passes):
    height = stage.output_shape[1]
    cut = strips(height, rows)
    rounds = 1 if chunk_blocks is None else -(-stage.output_blocks // chunk_blocks)
    beats, first = 0, 0
    for role in roles:
        layout = buffers[role].layout
        row_beats = layout.blocks * layout.line * config.bank_row_beats
        counts = [high - low for low, high in (rows_of(stage, role, *strip) for strip in cut)]
        beats += sum(counts) * row_beats * rounds
        first += counts[0] * row_beats
    beats += weight_beats(stage, config) * (weight_passes or len(cut))
    copies = len(next(iter(buffers.values())).addresses)
    cycles = stage.cycles(config)
    together = max(cycles, beats) if copies > 1 else cycles + beats
    return Plan(
        rows=rows,
        chunks_outside=chunk_blocks is not None,
        chunk_blocks=chunk_blocks or 0,
        buffers=buffers,
        beats=beats,
        cycles=together + first // 2,
    )
