"""Models of nested loops, as the sequencers walk them."""

import itertools


def walk(counts):
    """Each iteration of the nest: its indices, and the one-hot of the level that advances behind it."""
    ranges = [range(count) for count in counts]
    iterations = list(itertools.product(*ranges))
    for now, after in zip(iterations, [*iterations[1:], None], strict=True):
        changed = None if after is None else next(n for n in range(len(now)) if now[n] != after[n])
        yield now, 0 if changed is None else 1 << changed


def mask(conditions):
    """Bit n set where condition n holds."""
    return sum(bool(condition) << index for index, condition in enumerate(conditions))


def advances(rng, counts, before):
    """Cycles that load `before`, then walk the nest with random pauses; with the indices of each cycle."""
    cycles, indices = [before | {"start": 1, "advance": 0}], [None]
    for now, advance in walk(counts):
        while rng.random() < 0.2:
            cycles.append({"start": 0, "advance": 0})
            indices.append(now)
        cycles.append({"start": 0, "advance": advance})
        indices.append(now)
    return cycles, indices
