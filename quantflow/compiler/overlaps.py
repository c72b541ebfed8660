"""Which compute instructions may begin while the one before is still writing its last results."""

from quantflow.compiler.dependencies import Access, Space

PIPELINE = 64  # more than the stages of any machine's pipeline, but for the drain and the order of its words


def pipeline_cycles(config):
    """Cycles, at most, from a group's last step to its last word in the scratchpad."""
    return PIPELINE + config.drain_cycles + config.requantizers


def group_cycles(stage, piece, config):
    """Cycles from one group's results to the next's, and the steps that the array takes for them."""
    taps = len(piece.rows) * len(piece.columns) * len(piece.blocks)
    steps = stage.passes * taps + (stage.residual_steps if piece.residual else 0)
    return max(steps, config.drain_cycles)


def work_cycles(stage, work, config):
    """Cycles in which the array works on an instruction."""
    rows = work.tile.block_count * work.tile.rows
    return rows * _row_cycles(stage, work, config)


def _row_cycles(stage, work, config):
    groups = -(-work.columns(stage) // config.pixels)
    return groups * stage.pool[0] * stage.pool[1] * group_cycles(stage, work.piece, config)


class Overlaps:
    """Follows compute instructions in order, as if each began when the array is done with the one before."""

    def __init__(self, config):
        self.config, self.window = config, pipeline_cycles(config)
        self.now, self.pending = 0, None  # (cycle in which the array is done, what is written late), the oldest first

    def take(self, stage, work, early):
        """Whether the instruction may overlap; `early(rows)` are its Accesses for its first rows."""
        row_cycles, total = _row_cycles(stage, work, self.config), work_cycles(stage, work, self.config)
        rows = min(work.tile.rows, -(-self.window // row_cycles))
        reads = early(rows)
        late = [written for done, written in self.pending or [] if done > self.now - self.window]
        allowed = self.pending is not None and not any(read.meets(written) for read in reads for written in late)
        if not allowed or total >= self.window:
            self.pending = []
        self.now += total
        if not work.partial:
            self.pending.append((self.now, self._written_late(stage, work, rows)))
        return allowed

    def _written_late(self, stage, work, rows):
        """What the last groups write: `rows` rows of the last block, or everything where that takes longer."""
        tile, view = work.tile, stage.destination
        first_row, first_block = view.first_row + tile.row, view.first_block + tile.first_block
        if rows == tile.rows:
            span = work.destination.interval(first_row, tile.rows, first_block, tile.block_count)
        else:
            last = first_block + tile.block_count - 1
            span = work.destination.interval(first_row + tile.rows - rows, rows, last, 1)
        return Access(Space.ACTIVATION, *span)
