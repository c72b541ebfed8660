"""The machine of a board that runs a network fastest."""

from dataclasses import dataclass, replace

from boards.sizing.candidates import is_large, shapes, sized
from boards.sizing.evaluation import Evaluation, Workers
from boards.sizing.limits import Limits
from boards.sizing.model import is_measured
from boards.sizing.refusal import refuse

TIE = 0.001  # machines whose images per second differ by less are equally fast
GAP = 0.01  # no machine is looked for that would be faster by less
MOST_LOOKED_AT = 64  # candidates that are compiled
MOST_OF_LARGE = 8  # the same of networks that take long to compile


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The best machine, and how much of the field was seen."""

    best: Evaluation
    looked_at: int  # candidates compiled
    shapes: int  # arrays with their ports that the part has the multipliers for
    complete: bool  # whether none of those not looked at can be faster by more than GAP


def choose(quantized, board, batch=1, *, report=None):
    """The Choice for runs of `batch` images of a QuantizedNetwork on a board.

    Shapes are taken in the order of the cycles below which they cannot come, until none of those left can be faster
    than the best machine by more than GAP. Of equally fast ones (see TIE) it is the one that takes the least share of
    the part.
    `report(done, total)` is called as candidates are compiled. Raises UserError where nothing fits, with the reason.
    """
    field, limits, found = shapes(quantized, board, batch), Limits.of(board), []
    most, looked_at, errors, complete = most_looked_at(quantized), 0, [], True
    waiting = iter(field)
    with Workers(quantized, board, batch) as workers:
        while True:
            least = min((each.cycles for each in found), default=float("inf")) * (1 - GAP)
            configs, complete = _next(waiting, board, batch, least, min(2 * workers.count, most - looked_at))
            if not configs:
                break
            for _, result in workers.map(configs):
                looked_at += 1
                if isinstance(result, Exception):
                    errors.append(result)
                elif result.fits:
                    found.append(result)
                if report is not None:
                    report(looked_at, most)
    if not found:
        refuse(quantized, board, batch, errors)
    fastest = max(each.images_per_second for each in found)
    tied = [each for each in found if each.images_per_second >= fastest * (1 - TIE)]
    best = min(tied, key=lambda each: limits.share(each.resources))
    return Choice(best=best, looked_at=looked_at, shapes=len(field), complete=complete)


def most_looked_at(quantized):
    """Candidates that may be compiled of a network."""
    return MOST_OF_LARGE if is_large(quantized) else MOST_LOOKED_AT


def chosen_board(quantized, board, batch=1, *, report=None):
    """(the board with the machine chosen for a network, the Choice).

    A board of a family of which no machines are measured keeps its own machine; its Choice is None.
    """
    if not is_measured(board.part.family):
        return board, None
    choice = choose(quantized, board, batch, report=report)
    return replace(board, config=choice.best.config), choice


def _next(waiting, board, batch, least, count):
    """(configurations of the next shapes, about `count`; whether the rest of the shapes cannot be faster)."""
    configs = []
    while count > len(configs):
        shape = next(waiting, None)
        if shape is None or shape.least_cycles >= least:
            return configs, True
        configs += [each.config for each in sized(shape, board, batch) if each.least_cycles < least]
    return configs[: max(0, count)], False
