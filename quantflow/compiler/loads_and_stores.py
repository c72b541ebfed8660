"""Loads and stores of rows of a map: where they lie in memory and in the activation banks."""

from quantflow.compiler.dependencies import Access, Entry, Space
from quantflow.isa import Load, Region, Target

TRANSFER_CYCLES = 20  # around the beats of a load or store, about


def move_rows(type_, place, layout, region, rows, blocks, config, *, stage, label, cause, offset=0):
    """Entries that load or store map rows [low, high) of some blocks (a range) of a map in memory.

    `place` is where they are in the banks, `layout` that of the whole map in memory, which begins at byte
    `region[1] + offset` of Region `region[0]`. Whole rows are one instruction, blocks that lie apart one each.
    """
    size = config.bank_row_bytes
    low, high = rows
    if layout.block_major:
        runs = [(block, (block * layout.height + low) * layout.line, (high - low) * layout.line) for block in blocks]
    else:
        runs = [(0, low * layout.row_stride, (high - low) * layout.row_stride)]
    entries = []
    for block, ahead, words in runs:
        begin, address = region[1] + offset + ahead * size, place.at(low, block)
        on_chip = Access(Space.ACTIVATION, address, address + words)
        in_memory = Access(region[0], begin, begin + words * size)
        fields = {
            "region": region[0],
            "memory_address": begin,
            "beats": words * config.bank_row_beats,
            "word_address": address,
        }
        if type_ is Load:
            fields |= {"target": Target.ACTIVATION, "width": 0}
        entries.append(
            Entry(
                type=type_,
                fields=fields,
                stage=stage,
                label=label,
                cause=cause,
                reads=[in_memory] if type_ is Load else [on_chip],
                writes=[on_chip] if type_ is Load else [in_memory],
                cycles=fields["beats"] + TRANSFER_CYCLES,
            )
        )
    return entries


def load_words(target, address, words, memory_address, beats, *, width=0, stage, label, cause):
    """The entry that loads weight or parameter words of the model."""
    space = Space.WEIGHT if target == Target.WEIGHT else Space.PARAMETER
    fields = {
        "target": target,
        "region": Region.MODEL,
        "width": width,
        "memory_address": memory_address,
        "beats": beats,
        "word_address": address,
    }
    return Entry(
        type=Load,
        fields=fields,
        stage=stage,
        label=label,
        cause=cause,
        reads=[],
        writes=[Access(space, address, address + words)],
        cycles=beats + TRANSFER_CYCLES,
    )
