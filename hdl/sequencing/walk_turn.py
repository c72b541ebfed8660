"""What a running sum along a loop nest does next."""

from amaranth import Cat, Signal
from amaranth.lib import data


def walk_turn(m, start, advance, stepped):
    """Registers that say how the bases of a running sum change, one cycle behind `start` or `advance`.

    There is one base per level in `stepped`, rising; each holds the sum at the beginning of that
    level's iteration. `advance` is a one-hot of levels that never comes with `start`. Adds the
    registers to `m` and returns a View of

        origin   one-hot: the sum goes on from its first value (bit 0) or from base n (bit n + 1)
        step     bit n: the step of level stepped[n] is added; no bit where none is
        changes  bit n: base n takes the new sum

    Decided a cycle before they are used, so that the sum is all that its cycle has to make.
    """
    count = len(stepped)
    turn = Signal(data.StructLayout({"origin": count + 1, "step": count, "changes": count}), name="turn")
    # A level that advances goes on from the innermost base that is not inside it.
    origins = [[] for _ in range(count + 1)]
    for level in range(len(advance)):
        origins[sum(own <= level for own in stepped)].append(advance[level])
    origins[0].append(start)
    m.d.sync += [
        turn.origin.eq(Cat(Cat(levels).any() for levels in origins)),
        turn.step.eq(Cat(advance[level] for level in stepped)),
        turn.changes.eq(Cat(start | advance[: level + 1].any() for level in stepped)),
    ]
    return turn
