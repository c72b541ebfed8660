"""The order in which a stage's tiles are computed."""

from quantflow.compiler.tiles import Tile, chunk_limit, chunks, strips


def tiles(stage, plan, config, *, few_first, few_last, chunk_most, group, grow_chunks):
    """The stage's tiles in order.

    Rows are few at first where the source has still to be loaded (`few_first`), and at last where the results
    leave the chip for good (`few_last`). A chunk has at most `chunk_most` output blocks, all in one of the groups of
    `group` blocks whose parameters are loaded together, and few at first with `grow_chunks`.
    """
    height = stage.output_shape[1]
    most = min(chunk_most, chunk_limit(stage, config, 1)) if grow_chunks else chunk_most
    if plan.buffers and not plan.chunks_outside:
        return _strips_outside(stage, plan, config, few_first, few_last, most, group, grow_chunks)
    if plan.chunks_outside:
        most = plan.chunk_blocks
    parts = chunks(stage, most, group, config, grow=grow_chunks and not plan.buffers)
    found, strip = [], 0
    for number, (block, count) in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        for row, rows in strips(height, plan.rows, grow=few_first and first, shrink=few_last and last):
            found.append(
                Tile(
                    row=row,
                    rows=rows,
                    first_block=block,
                    block_count=count,
                    strip=strip,
                    store=strip,
                    fills=last or "destination" in plan.buffers,
                )
            )
            strip += 1
    return found


def _strips_outside(stage, plan, config, few_first, few_last, most, group, grow_chunks):
    found = []
    cut = strips(stage.output_shape[1], plan.rows, grow=few_first, shrink=few_last)
    for strip, (row, rows) in enumerate(cut):
        # Weights that stay are there when the first strip is done: the others need no small chunks.
        parts = chunks(stage, most, group, config, grow=grow_chunks and strip == 0)
        for number, (block, count) in enumerate(parts):
            found.append(
                Tile(
                    row=row,
                    rows=rows,
                    first_block=block,
                    block_count=count,
                    strip=strip,
                    store=strip,
                    fills=number == len(parts) - 1,
                )
            )
    return found
