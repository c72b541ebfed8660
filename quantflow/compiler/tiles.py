"""Parts of a stage: strips of output rows, chunks of output blocks, and what of its maps they read and write."""

from dataclasses import dataclass

from quantflow.compiler.weights import is_split, memory_width, parameter_words, total_words


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Some rows and output blocks of a stage's results, computed together."""

    row: int
    rows: int
    first_block: int
    block_count: int
    strip: int  # number of the strips that it reads and fills: tiles in a row with the same rows share them
    fills: bool  # whether the destination buffer, or these rows of the map, are complete with it


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
