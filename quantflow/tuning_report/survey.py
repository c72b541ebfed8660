"""What else could have been chosen: the other methods, other widths, and the method's steps one by one."""

from dataclasses import dataclass

from quantflow.choices import choices
from quantflow.evaluate import evaluate
from quantflow.tuner.methods import METHODS, STEPS
from quantflow.tuner.tune import tune

WIDTHS = range(2, 9)  # uniform weight widths that are measured
SUMMARY = (
    "images", "float_top1", "fixed_top1", "agreement", "output_sqnr_db", "output_exact", "parameter_bytes",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Run:
    """One call of `tune`; `options` is None where it is the chosen network's, whose figures are there already."""

    group: str  # "methods", "widths" or "steps"
    entry: dict  # what the figures are of
    options: dict | None


def planned(quantized, *, method, steps=None):
    """The Runs that a report needs beside the chosen network's, which `method` and `steps` made.

    Methods and steps have the chosen network's own widths, layer by layer; of the widths, those of the weights
    are the same in all layers. The default method's steps are added one after the other.
    """
    entries = choices(quantized)
    widths = {
        "activation_bits": {entry.name: entry.output.bits for entry in entries},
        "weight_bits": {entry.name: entry.weights.bits for entry in entries if entry.weights},
    }
    own = {"method": method} if steps is None else {"method": method, "steps": tuple(steps)}
    runs = [
        Run(group="methods", entry={"method": name}, options=None if name == method else widths | {"method": name})
        for name in METHODS
    ]
    for bits in WIDTHS:
        same = set(widths["weight_bits"].values()) == {bits}
        options = None if same else widths | own | {"weight_bits": bits}
        runs.append(Run(group="widths", entry={"weight_bits": bits}, options=options))
    if method == "default":
        taken = STEPS if steps is None else tuple(steps)
        for count in range(len(taken) + 1):
            options = None if count == len(taken) else widths | {"method": method, "steps": taken[:count]}
            entry = {"added": taken[count - 1] if count else None, "steps": list(taken[:count])}
            runs.append(Run(group="steps", entry=entry, options=options))
    return runs


def survey(network, figures, calibration, test, runs, *, progress=None, **options):
    """Take the planned `runs`: figures by group, each a list of dicts for JSON.

    All are made from the float `network`. `figures` are the chosen one's (`Evaluation.to_json`), `calibration`
    and `test` the Datasets that it was tuned and evaluated on, `options` the further options of `tune`.
    `progress`, if given, is called as `progress(layers done, layers in all runs, name of the run)`.
    """
    found = {"methods": [], "widths": [], "steps": []}
    open_runs = [run for run in runs if run.options is not None]
    each = len(network.layers) + 1  # an evaluation counts as one more layer
    for run in runs:
        values, chosen = figures, run.options is None
        if not chosen:
            start = open_runs.index(run) * each

            def report(done, total, *_, start=start, run=run):
                if progress is not None:
                    progress(start + done, each * len(open_runs), f"{run.group} {run.entry}")

            tuned = tune(network, calibration.images, progress=report, **options | run.options)
            values = evaluate(tuned, test.images, test.labels).to_json()
            report(each, each)
        noise = [{key: layer[key] for key in ("name", "sqnr_db", "exact")} for layer in values["layers"]]
        found[run.group].append(run.entry | {"chosen": chosen, **summary(values), "layers": noise})
    return found


def summary(figures):
    """The figures of a whole network among those of an evaluation."""
    return {key: figures[key] for key in SUMMARY}
