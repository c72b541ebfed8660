"""The order in which a stage's tiles are computed."""

from quantflow.compiler.tiles import Tile, chunk_limit, chunks, strips


def tiles(stage, plan, config, *, few_first, few_last, chunk_most, group, grow_chunks):
    """The stage's tiles in order.

    Rows are few at first where the source has still to be loaded (`few_first`), and at last where the results
    leave the chip for good (`few_last`). A chunk has at most `chunk_most` output blocks, all in one of the groups of
    `group` blocks whose parameters are loaded together, and few at first with `grow_chunks`.
    """
    most = min(chunk_most, chunk_limit(stage, config, 1)) if grow_chunks else chunk_most
    if plan.chunks_outside:
        most = plan.chunk_blocks

    def cut(first, last):
        return strips(stage.output_shape[1], plan.rows, grow=few_first and first, shrink=few_last and last)

    def parts(first):
        return chunks(stage, most, group, config, grow=grow_chunks and first)

    if plan.buffers and not plan.chunks_outside:
        order = _strips_outside(cut(True, True), parts)
    else:
        order = _chunks_outside(cut, parts(not plan.buffers), stored="destination" in plan.buffers)
    return [
        Tile(row=row, rows=rows, first_block=block, block_count=count, strip=strip, fills=fills)
        for strip, (row, rows), (block, count), fills in order
    ]


def _strips_outside(cut, parts):
    """(number of the strip, its rows, chunk, whether the results are complete) of each tile."""
    for strip, rows in enumerate(cut):
        # Weights that stay are there when the first strip is done: the others need no small chunks.
        found = parts(strip == 0)
        for number, part in enumerate(found):
            yield strip, rows, part, number == len(found) - 1


def _chunks_outside(cut, parts, *, stored):
    """As `_strips_outside`, each chunk reading strips of its own, whose results may be `stored` at once."""
    strip = 0
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        for rows in cut(first, last):
            yield strip, rows, part, last or stored
            strip += 1
