"""How a stage is cut into tiles: strips of output rows, chunks of output blocks, and the buffers that they need."""

from dataclasses import dataclass, field, replace

from quantflow.compiler.allocation import pack
from quantflow.compiler.weights import is_split, memory_width, parameter_words, total_words


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Some rows and output blocks of a stage's results, computed together."""

    row: int
    rows: int
    first_block: int
    block_count: int
    strip: int  # number of the operand strips that it reads: tiles in a row with the same rows share them
    store: int  # number of the destination buffer that it fills
    fills: bool  # whether the destination buffer, or these rows of the map, are complete with it


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


def rows_read(stage, row, rows):
    """[low, high) of the source's rows, in its view, that output rows read; those outside of it left out."""
    (kernel, _), (step, _), (dilation, _) = stage.window.kernel, stage.window.stride, stage.window.dilation
    top, height = stage.window.padding[0], stage.input_shape[1]
    first = row * step * stage.pool[0] - top
    last = ((row + rows) * stage.pool[0] - 1) * step - top + (kernel - 1) * dilation
    low = min(max(first, 0), height - 1)
    return low, max(low + 1, min(last + 1, height))


def residual_rows_read(stage, row, rows):
    """As `rows_read`, of the residual map."""
    step = stage.residual.stride[0]
    return row * step, (row + rows - 1) * step + 1


def blocks_read(stage):
    """{role: (first block, blocks)} of the maps that a stage reads and writes."""
    spans = {
        "source": (stage.source.first_block, stage.block_step * (stage.output_blocks - 1) + stage.input_blocks),
        "destination": (stage.destination.first_block, stage.output_blocks),
    }
    if stage.residual is not None:
        part = stage.residual
        spans["residual"] = (part.view.first_block, part.block_step * (stage.output_blocks - 1) + part.blocks)
    return spans


def views(stage):
    """{role: View} of the maps that a stage reads and writes."""
    found = {"source": stage.source, "destination": stage.destination}
    return found | ({"residual": stage.residual.view} if stage.residual is not None else {})


def rows_of(stage, role, row, rows):
    """[low, high) of the rows of the map in that role, in its view, which some output rows take."""
    if role == "source":
        return rows_read(stage, row, rows)
    return residual_rows_read(stage, row, rows) if role == "residual" else (row, row + rows)


def strips(height, most, *, grow=False, shrink=False):
    """(first row, rows) of the strips of a map's rows.

    With `grow` the first ones have 1, 2, 4, ... rows, so that work begins when little has been loaded;
    with `shrink` the last ones, so that little is left to be stored at the end.
    """
    head, tail = [], []
    for wanted, part in ((grow, head), (shrink, tail)):
        rows = 1
        while wanted and rows < most and sum(head) + sum(tail) + 2 * rows < height:
            part.append(rows)
            rows *= 2
    left = height - sum(head) - sum(tail)
    count = -(-left // most)
    middle = [left * (n + 1) // count - left * n // count for n in range(count)]
    found, row = [], 0
    for rows in [*head, *middle, *reversed(tail)]:
        found.append((row, rows))
        row += rows
    return found


def chunks(stage, most, group, config, *, grow):
    """(first block, blocks) of the chunks of a stage's output blocks, cut where groups of parameters end."""
    found, block, count = [], 0, _first_chunk(stage, config) if grow else most
    while block < stage.output_blocks:
        taken = min(count, most, group - block % group, stage.output_blocks - block)
        found.append((block, taken))
        block, count = block + taken, 2 * count
    return found


def parameter_group(stage, chunk_blocks, config):
    """Output blocks whose parameters are loaded together where not all of the network's stay on chip.

    They are few, so that those of the stages ahead find room early; all of a chunk of `chunk_blocks` at least.
    """
    return min(stage.output_blocks, max(1, chunk_blocks, config.parameter_depth // 8))


def _first_chunk(stage, config):
    """Blocks of a first chunk: few, but worth the instructions."""
    rounds = stage.output_shape[1] * stage.groups(config) * stage.pool[0] * stage.pool[1]
    block_cycles = rounds * max(stage.steps, config.drain_cycles)
    beats = 0 if stage.uniform else stage.weight_words * config.weight_word_beats(memory_width(stage, config))
    return max(1, 128 // max(block_cycles, beats, 1))


def chunk_limit(stage, config, share):
    """Most output blocks whose weights take one `share`-th of the scratchpad; at least one."""
    if stage.uniform or not stage.weight_words:
        return stage.output_blocks
    return 1 if is_split(stage, config) else max(1, config.weight_depth // share // stage.weight_words)


def weight_beats(stage, config):
    """Beats of all of a stage's weights and parameters."""
    if not stage.weight_words:
        return 0
    words = total_words(stage) * config.weight_word_beats(memory_width(stage, config))
    if is_split(stage, config):
        words *= stage.output_shape[1] * stage.groups(config)
    return words + parameter_words(stage) * config.parameter_word_beats


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
