"""The memory's bandwidth, shared by what is being read and what is being written."""

BURST_BEATS = 64  # transfers change hands after so many beats


class Bandwidth:
    """Moves beats of reads and of writes: each direction in order, at one beat a cycle at most.

    Where `bytes_per_cycle` is less than what both directions carry, they share it evenly while both move.
    """

    def __init__(self, env, timing, config):
        self.env = env
        self.beats_per_cycle = timing.bytes_per_cycle / config.beat_bytes if timing.bytes_per_cycle else 2.0
        self.active = {"read": 0, "write": 0}

    def move(self, direction, beats):
        """A process that ends when `beats` have moved."""
        self.active[direction] += 1
        while beats:
            count = min(beats, BURST_BEATS)
            other = "write" if direction == "read" else "read"
            share = self.beats_per_cycle / 2 if self.active[other] else self.beats_per_cycle
            yield self.env.timeout(count / min(1.0, share))
            beats -= count
        self.active[direction] -= 1
