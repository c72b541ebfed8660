"""The field of machines for a network on a board: images per second against resources, and which are best."""

from dataclasses import asdict, dataclass

from boards.sizing.candidates import shapes, sized
from boards.sizing.choice import most_looked_at
from boards.sizing.evaluation import Evaluation, Workers
from boards.sizing.model import is_measured
from boards.sizing.refusal import refuse
from quantflow.errors import UserError

COSTS = ("lut", "dsp", "block_ram")
FIELD = 2  # times as many machines are compiled as for a choice: they are not only the fastest ones


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine of the field; the best are its Pareto set.

    No other machine is as fast as one of those, or faster, with as little or less of everything, and better in one.
    """

    evaluation: Evaluation
    best: bool

    def to_json(self):
        found = self.evaluation
        return {
            "config": found.config.to_json(),
            "multipliers": found.config.multipliers,
            "cycles": found.cycles,
            "images_per_second": found.images_per_second,
            "resources": asdict(found.resources),
            "memory_bytes": found.memory_bytes,
            "pareto": self.best,
        }


def explore(quantized, board, batch=1, *, cluster=None, report=None):
    """The Machines of the field that fit, the fastest first; of each size of array, the most promising ones.

    `cluster` is the address of a Dask scheduler whose workers share the work, instead of this machine's cores;
    `report(done, total)` is called as machines are compiled. Raises UserError where nothing fits, with the reason, and
    for a board of a family of which no machines are measured.
    """
    if not is_measured(board.part.family):
        raise UserError(f"{board.name}: what machines take of a part of the family {board.part.family} is not known")
    configs, found, errors = _spread(quantized, board, batch), [], []
    with Workers(quantized, board, batch, cluster=cluster) as workers:
        for done, (_, result) in enumerate(workers.map(configs), 1):
            if isinstance(result, Exception):
                errors.append(result)
            elif result.fits:
                found.append(result)
            if report is not None:
                report(done, len(configs))
    if not found:
        refuse(quantized, board, batch, errors)
    best = pareto([_figures(each) for each in found])
    machines = [Machine(evaluation=each, best=number in best) for number, each in enumerate(found)]
    return sorted(machines, key=lambda each: (-each.evaluation.images_per_second, *_figures(each.evaluation)[1:]))


def pareto(points):
    """Indices of the points (gain, cost, cost, ...) that no other dominates; of equal points the first."""
    found = set()
    for number, (gain, *costs) in enumerate(points):
        for other, (more, *less) in enumerate(points):
            at_least = more >= gain and all(a <= b for a, b in zip(less, costs, strict=True))
            if at_least and ((more, *less) != (gain, *costs) or other < number):
                break
        else:
            found.add(number)
    return found


def _figures(evaluation):
    return (evaluation.images_per_second, *(getattr(evaluation.resources, name) for name in COSTS))


def _spread(quantized, board, batch):
    """Configurations from all over the field: of each size of array its shapes in turn, the most promising first."""
    by_size, most = {}, FIELD * most_looked_at(quantized)
    for shape in shapes(quantized, board, batch):
        key = (shape.config.pixels, shape.config.lanes, shape.config.products_per_dsp)
        by_size.setdefault(key, []).append(shape)
    found, waiting = [], list(by_size.values())
    while waiting and len(found) < most:
        for row in list(waiting):
            if not row:
                waiting.remove(row)
                continue
            found += [each.config for each in sized(row.pop(0), board, batch)[:1]]
    return found[:most]
