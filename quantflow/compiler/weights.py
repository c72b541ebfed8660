"""Where weights and parameters lie: in the image a stage's one after the other, on chip resident or in a ring."""

from collections import deque
from dataclasses import dataclass

from quantflow.errors import UserError
from quantflow.isa import Operation


def memory_width(stage, config):
    """Bits of one weight in memory: the narrowest that the machine unpacks and that holds it."""
    return next(width for width in config.weight_widths if width >= stage.weight_bits)


def total_words(stage):
    """Weight words of all output blocks."""
    return stage.weight_words * (1 if stage.uniform else stage.output_blocks)


def parameter_words(stage):
    """Parameter words of all output blocks."""
    return stage.output_blocks if stage.operation == Operation.CONVOLVE else 0


def sharing(stages):
    """For each stage the index of the first one with the same words: images of a batch share a layer's."""
    first = {}
    keys = (tuple(map(id, (stage.words, stage.bias, stage.shift, stage.greatest))) for stage in stages)
    return [first.setdefault(key, number) for number, key in enumerate(keys)]


def are_resident(stages, config):
    """Whether the whole network's weights and parameters stay on chip."""
    different = [stages[number] for number in set(sharing(stages))]
    return (
        sum(map(total_words, different)) <= config.weight_depth
        and sum(map(parameter_words, different)) <= config.parameter_depth
    )


def is_split(stage, config):
    """Whether the taps of one output block are computed in several instructions, group by group.

    Where all results of a block are one group, small pieces let loads run ahead; else every group needs all
    weights again, which is done only where they do not fit at once.
    """
    one_group = stage.output_shape[1] * stage.groups(config) == 1
    splittable = stage.passes == 1 and not stage.uniform and stage.pool == (1, 1)
    return splittable and stage.weight_words > config.weight_depth // (3 if one_group else 1)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive steps of an output block: a box of its kernel's rows, columns and input blocks."""

    first_word: int
    words: int
    rows: range
    columns: range
    blocks: range
    residual: bool  # whether the residual's steps come first


def pieces(stage, config, *, resident):
    """The whole of an output block's steps, or pieces of them where they are too many; UserError if that fails.

    Weights that are `resident` need no pieces.
    """
    kernel_rows, kernel_columns = stage.window.kernel
    rows, columns, blocks = range(kernel_rows), range(kernel_columns), range(stage.input_blocks)
    words, ahead = stage.weight_words, stage.residual_steps
    if resident or not is_split(stage, config):
        if words > config.weight_depth:
            raise UserError(
                f"layer {stage.name} does not fit: one block of its output channels needs {words} words of the "
                f"weight scratchpad, which has {config.weight_depth}"
            )
        return [Piece(first_word=0, words=words, rows=rows, columns=columns, blocks=blocks, residual=True)]
    limit = max(config.weight_depth // 4, config.drain_cycles)
    found, row_words = [], kernel_columns * stage.input_blocks
    if row_words + ahead <= limit:
        boxes = [(part, columns, blocks) for part in _parts(rows, (limit - ahead) // row_words)]
    elif stage.input_blocks + ahead <= limit:
        count = (limit - ahead) // stage.input_blocks
        boxes = [(range(y, y + 1), part, blocks) for y in rows for part in _parts(columns, count)]
    else:
        parts = _parts(blocks, max(1, limit - ahead))
        boxes = [(range(y, y + 1), range(x, x + 1), part) for y in rows for x in columns for part in parts]
    word = 0
    for number, box in enumerate(boxes):
        count = len(box[0]) * len(box[1]) * len(box[2]) + (0 if number else ahead)
        if count < config.drain_cycles or count > config.weight_depth:
            raise UserError(
                f"layer {stage.name} does not fit: {words} words of the weight scratchpad, which has "
                f"{config.weight_depth}, cannot be split into pieces of at least {config.drain_cycles}"
            )
        found.append(
            Piece(first_word=word, words=count, rows=box[0], columns=box[1], blocks=box[2], residual=not number)
        )
        word += count
    return found


def _parts(whole, most):
    """A range cut into nearly equal ones of at most `most`."""
    count = -(-len(whole) // most)
    ends = [whole.start + len(whole) * n // count for n in range(count + 1)]
    return [range(low, high) for low, high in zip(ends, ends[1:], strict=False)]


class Ring:
    """Words of a scratchpad given out round and round; what was given last is overwritten last."""

    def __init__(self, capacity):
        self.capacity, self.next = capacity, 0
        self.given = deque()  # (key, address, words), the oldest first

    def request(self, key, words):
        """(address, whether they must be loaded) of the words named `key`."""
        for known, address, count in self.given:
            if known == key and count == words:
                return address, False
        if self.next + words > self.capacity:
            self.next = 0
        address, self.next = self.next, self.next + words
        self.given = deque(
            (known, at, count) for known, at, count in self.given if at + count <= address or at >= address + words
        )
        self.given.append((key, address, words))
        return address, True
