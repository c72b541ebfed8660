"""The problem that a search for widths solves: what may be chosen, what limits it, what a choice is worth."""

from dataclasses import dataclass, field
from functools import cached_property

from quantflow.bit_widths.costs import Cycles, Machine, MemoryBytes, ParameterBytes, map_bytes
from quantflow.bit_widths.judge import Judge
from quantflow.bit_widths.trials import Trial, Trials
from quantflow.bit_widths.widths import Space
from quantflow.datasets import Dataset
from quantflow.digest import digest, tuner_digest
from quantflow.errors import UserError
from quantflow.graph import Network
from quantflow.size import network_bytes
from quantflow.tuner.tune import tune

HELD_OUT = 4  # one in so many of the calibration images is not tuned on


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a choice of widths must keep to; None where there is no such limit."""

    max_drop: float | None = None  # points of top-1 accuracy (of agreement without labels), on held-out images
    max_bytes: int | None = None  # of parameters
    max_cycles: int | None = None  # of one image on the machine

    @property
    def on_cost(self):
        """Whether bytes or cycles are limited."""
        return self.max_bytes is not None or self.max_cycles is not None

    def afford(self, parameter_bytes, cycles):
        """Whether the limits on cost are kept; unknown cycles (None) keep none."""
        within = self.max_bytes is None or parameter_bytes <= self.max_bytes
        return within and (self.max_cycles is None or cycles is not None and cycles <= self.max_cycles)

    def kept_by(self, trial):
        """Whether a Trial is within all limits."""
        within = self.max_drop is None or trial.drop <= self.max_drop
        return within and self.afford(trial.parameter_bytes, trial.cycles)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A network, images, the widths to choose from, limits: the environment of any searcher.

    A searcher calls `evaluate` for the true figures of a choice, which is one run of the tuner, and `costs` for
    what it costs, which is next to nothing. The images are cut into those that are tuned on and those that
    judge, so that a choice is not praised for what it learnt by heart.
    """

    network: Network
    images: Dataset  # tuned on
    held_out: Dataset  # judged on
    space: Space
    limits: Limits
    options: dict = field(default_factory=dict)  # further ones of `tune`: method, per_channel, ...
    machine: Machine | None = None
    trials: Trials = field(default_factory=Trials)
    counts: dict = field(default_factory=lambda: {"tunes": 0, "known": 0})  # trials measured, and found in the file

    @classmethod
    def of(cls, network, calibration, **fields):
        """The Problem whose Dataset `calibration` is cut in two: every HELD_OUT-th image judges."""
        if len(calibration) < 2:
            raise UserError("auto widths need at least 2 calibration images: some are tuned on, the others judge")
        judge = slice(HELD_OUT - 1, None, HELD_OUT) if len(calibration) >= HELD_OUT else slice(-1, None)
        kept = [index for index in range(len(calibration)) if index not in range(len(calibration))[judge]]
        return cls(network=network, images=_part(calibration, kept), held_out=_part(calibration, judge), **fields)

    def tune(self, widths, progress=None, **options):
        """The network tuned for these Widths on the images that are tuned on, by further `options` of `tune`."""
        options |= self.options
        return tune(self.network, self.images.images, **widths.to_json(), **options, progress=progress)

    def evaluate(self, widths, progress=None):
        """The Trial of these Widths: tuned and measured, or known from before. Progress as `tune`'s."""
        key = self.key(widths.to_json())
        trial = Trial.known(widths, self.trials.get(key))
        self.counts["tunes" if trial is None else "known"] += 1
        if trial is None:
            trial = self._measure(widths, self.tune(widths, progress=progress))
            self.trials.put(key, trial.figures())
        return trial

    def key(self, *what):
        """Under what the Trials keep something that was measured for this problem, its limits apart."""
        return digest(self._digest, *what)

    def _measure(self, widths, quantized):
        size, cycles = network_bytes(quantized), self._cycles(quantized)
        return Trial(widths=widths, parameter_bytes=size, cycles=cycles, **self._judge.figures(quantized))

    @cached_property
    def _judge(self):
        return Judge(self.network, self.held_out)

    def _cycles(self, quantized):
        if self.machine is None:
            return None
        try:
            return self.machine.cycles(quantized)
        except UserError:  # a choice that the machine cannot compute keeps to no limit on cycles
            return None

    def costs(self, quantized):
        """The limited costs as (function of Widths, limit), estimated from any tuned network of the problem.

        Without a limit on cost there is one function without limit: the bytes of parameters and maps, for
        the smallest network is looked for.
        """
        found = []
        if self.limits.max_bytes is not None:
            found.append((ParameterBytes(quantized), self.limits.max_bytes))
        if self.limits.max_cycles is not None:
            found.append((Cycles(quantized, self.machine), self.limits.max_cycles))
        return found or [(MemoryBytes(quantized), None)]

    def affords(self, quantized):
        """Whether a tuned network is within the limits on cost."""
        return self.limits.afford(network_bytes(quantized), self._cycles(quantized))

    def figure(self, trial):
        """What is to be made small: noise at the output, or without a limit on cost the size."""
        if self.limits.on_cost:
            return trial.output_noise
        return trial.parameter_bytes + map_bytes(self.network, trial.widths)

    def check_machine(self):
        """Raise UserError where cycles are limited and the network does not compile for the machine."""
        if self.limits.max_cycles is None:
            return
        images = self.images.first(2).images
        try:
            self.machine.cycles(tune(self.network, images, **self.space.widest().to_json(), **self.options))
        except UserError as error:
            raise UserError(f"cycles cannot be limited where the machine does not run the network: {error}") from None

    @cached_property
    def _digest(self):
        machine = None if self.machine is None else repr(self.machine)
        labels = None if self.held_out.labels is None else self.held_out.labels.tolist()
        images = (self.images.images, self.held_out.images)
        options = {name: value for name, value in self.options.items() if name != "memory"}  # which changes no choice
        return digest(self.network, *images, labels, options, machine, tuner_digest())


def _part(dataset, index):
    labels = None if dataset.labels is None else dataset.labels[index]
    return Dataset(images=dataset.images[index], labels=labels)
