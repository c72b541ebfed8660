"""The search that `quantflow tune --weight-bits auto` does: sensitivity, descent, measured exchanges.

1. The sensitivities of all slots around the widest choice are measured (`measurement`).
2. Greedy descent on what they predict (`descent`). With a limit on bytes or cycles it ends within the limit;
   else the smallest network within `max_drop` is looked for, by bisection along the descent.
3. The best uniform width within the same limits is measured, too: nothing worse is ever returned.
4. The sensitivities of the weights are measured again, around the best choice; its neighbours (one slot up or
   down, others fitted to the limits) are tuned for, the best predicted first, and kept where the figure itself
   improves.

The figure that is improved is the noise at the network's output on the held-out images, for agreement is too
coarse on a few hundred of them; without a limit on cost, it is the size.
"""

import contextlib
import time
from dataclasses import dataclass

from quantflow.bit_widths.descent import Model
from quantflow.bit_widths.measurement import measure, sample
from quantflow.bit_widths.problem import Problem
from quantflow.bit_widths.sensitivity import Sensitivity
from quantflow.bit_widths.trials import Trial
from quantflow.bit_widths.widths import WEIGHT
from quantflow.errors import UserError

EXCHANGES = 12  # neighbours that are tuned for, by default


@dataclass(frozen=True, kw_only=True)
class Found:
    """The outcome of a search."""

    chosen: Trial
    uniform: Trial | None  # the best uniform width of all free weights within the limits; None if there is none
    widest: Trial
    path: tuple[Trial, ...]  # all that were measured, from the largest to the smallest
    sensitivity: Sensitivity  # around the widest choice
    tunes: int  # runs of the tuner that measured a choice
    known: int  # choices that a file had the figures of
    interrupted: bool
    seconds: float

    def to_json(self):
        trials = {name: getattr(self, name) for name in ("chosen", "uniform", "widest")}
        plain = {name: getattr(self, name) for name in ("tunes", "known", "interrupted", "seconds")}
        return {
            **{name: None if trial is None else trial.to_json() for name, trial in trials.items()},
            **plain,
            "path": [trial.to_json() for trial in self.path],
            "sensitivity": self.sensitivity.to_json(),
        }


@contextlib.contextmanager
def quiet(title):
    """A stage without display."""
    yield lambda done, total, *what: None


def search(problem, *, exchanges=EXCHANGES, stage=quiet):
    """The best widths of a Problem: a Found.

    `stage(title)` is a context manager that yields `report(done, total, *what)`, for progress. An interrupt
    (Ctrl-C) during the exchanges ends the search with the best so far. Raises UserError, with the figure,
    where the limits cannot be kept.
    """
    return _Search(problem, stage).run(exchanges)


class _Search:
    def __init__(self, problem: Problem, stage):
        self.problem, self.limits, self.stage = problem, problem.limits, stage
        self.seen = {}  # trials by their widths, as text
        self.costs, self.best = None, None
        self.more = None  # what trials cost beyond the estimate, for each of the costs

    def run(self, exchanges):
        start, interrupted = time.perf_counter(), False
        self.problem.check_machine()
        widest = self.problem.space.widest()
        with self.stage("sensitivity of each layer to each width") as report:
            sensitivity = measure(self.problem, widest, progress=report)
        self.costs = self.problem.costs(sample(self.problem).tune(widest))
        self.more = [0] * len(self.costs)
        first = self.trial(widest, "widest")
        uniform = self.uniform()
        found = self.within_cost(sensitivity) if self.limits.on_cost else self.bisect(sensitivity)
        self.best = self.better(uniform, found)
        try:
            self.exchange(sensitivity, exchanges)
        except KeyboardInterrupt:
            interrupted = True
        self._check()
        return Found(
            chosen=self.best,
            uniform=uniform,
            widest=first,
            path=tuple(sorted(self.seen.values(), key=lambda trial: -trial.parameter_bytes)),
            sensitivity=sensitivity,
            **self.problem.counts,
            interrupted=interrupted,
            seconds=time.perf_counter() - start,
        )

    def trial(self, widths, what):
        """The Trial of the widths; `what` says in the progress what they are."""
        if str(widths) not in self.seen:
            with self.stage(f"tuning choice {len(self.seen) + 1}: {what}") as report:
                self.seen[str(widths)] = self.problem.evaluate(widths, report)
        return self.seen[str(widths)]

    def better(self, a, b):
        """The better Trial of two: within the limits first, then by the figure; `a` may be None, and wins a tie."""
        trials = [trial for trial in (a, b) if trial is not None]
        return min(trials, key=lambda trial: (not self.limits.kept_by(trial), self.problem.figure(trial)))

    def model(self, sensitivity):
        """The Model for the descent, its limits lowered by what trials cost more than estimated."""
        costs = [(cost, limit and limit - more) for (cost, limit), more in zip(self.costs, self.more, strict=True)]
        return Model(sensitivity=sensitivity, costs=costs)

    def cheap(self, trial):
        """Whether the Trial keeps the limits on cost; where it does not, estimates are corrected."""
        if self.limits.afford(trial.parameter_bytes, trial.cycles):
            return True
        real = {"max_bytes": trial.parameter_bytes, "max_cycles": trial.cycles}
        for index, (name, (cost, limit)) in enumerate(zip(self._limited(), self.costs, strict=True)):
            if real[name] is not None and real[name] > limit:
                self.more[index] = max(self.more[index], real[name] - cost(trial.widths))
        return False

    def _limited(self):
        """The limits on cost that there are, in the order of the costs."""
        return [name for name in ("max_bytes", "max_cycles") if getattr(self.limits, name) is not None]

    def uniform(self):
        """The Trial of the widest uniform weights within the limits on cost; else the narrowest within the drop."""
        best, kinds = None, {kind for kind, _ in self.problem.space.free}
        if WEIGHT not in kinds:
            return None
        widths = sorted({bits for slot in self.problem.space.free for bits in self.problem.space.candidates[slot]})
        model = self.model(None)
        for bits in reversed(widths):
            choice = self.problem.space.uniform(bits, widths[-1])
            if self.limits.on_cost:
                if model.within(choice) and self.cheap(trial := self.trial(choice, f"uniform {bits}-bit weights")):
                    return trial
            elif self.limits.kept_by(trial := self.trial(choice, f"uniform {bits}-bit weights")):
                best = trial
            else:
                return best
        return best

    def within_cost(self, sensitivity):
        """The Trial of the best predicted widths within the limits on cost.

        It may be beyond them only where the machine does not compute what the tuner made of the widths.
        """
        while True:
            widths = self.model(sensitivity).solve(sensitivity.widths)
            if widths is None:
                raise UserError(self._too_tight())
            again = str(widths) in self.seen
            if self.cheap(trial := self.trial(widths, "the descent's")) or again:
                return trial

    def bisect(self, sensitivity):
        """The Trial of the smallest widths along the descent that keep the drop."""
        steps = list(self.model(sensitivity).descend(sensitivity.widths))
        low, high = 0, len(steps)  # steps[low] keeps it, steps[high] does not
        best = self.trial(steps[0], "the widest")
        if not self.limits.kept_by(best):
            return best
        while high - low > 1:
            middle = (low + high) // 2
            trial = self.trial(steps[middle], f"{middle} of {len(steps)} moves down")
            if self.limits.kept_by(trial):
                best, low = trial, middle
            else:
                high = middle
        return best

    def exchange(self, sensitivity, count):
        """Measures `count` neighbours of the best Trial, each of which takes its place where it is better."""
        if not count or not self.limits.kept_by(self.best):
            return
        around = sensitivity.around(self.best.widths, self.best.output_noise)
        if any(kind == WEIGHT for kind, _ in self.problem.space.free):
            with self.stage("sensitivity around the best choice") as report:
                local = measure(self.problem, self.best.widths, maps=False, progress=report)
            around = around.updated(local)
        for done in range(count):
            widths = next((each for each in self._proposals(around) if str(each) not in self.seen), None)
            if widths is None:
                return
            trial = self.trial(widths, f"exchange {done + 1} of {count}")
            self.cheap(trial)  # where it is not, estimates are corrected
            self.best = self.better(self.best, trial)

    def _proposals(self, around):
        """Widths to try beside the best ones, the most promising first."""
        model, best = self.model(around), self.best.widths
        if self.limits.on_cost:
            solved = model.solve(best)
            return ([] if solved is None else [solved]) + model.neighbours(best)
        cost, now = self.costs[0][0], self.costs[0][0](best)
        lower = [each for each in model.neighbours(best) if cost(each) < now]
        return sorted(lower, key=lambda each: (model.predict(each) - model.predict(best)) / (now - cost(each)))

    def _check(self):
        best, limits = self.best, self.limits
        if not limits.afford(best.parameter_bytes, best.cycles):
            raise UserError("no widths were found that the machine computes within --max-cycles")
        if not limits.kept_by(best):
            raise UserError(
                f"no widths were found within --max-drop {limits.max_drop:g}: the best choice loses "
                f"{best.drop:.2f} points on the {len(self.problem.held_out)} images held out"
            )

    def _too_tight(self):
        """Why no widths are within the limits on cost."""
        narrowest = self.problem.space.narrowest()
        parts = [
            f"--{name.replace('_', '-')} {limit:,} where the narrowest widths take about {cost(narrowest) + more:,}"
            for name, (cost, limit), more in zip(self._limited(), self.costs, self.more, strict=True)
            if cost(narrowest) + more > limit
        ]
        return f"no widths keep the limits: {' and '.join(parts) or 'each alone can be kept, but not both'}"
