"""The network at last: the widths that a search chose, tuned on all calibration images."""

from quantflow.tuner.tune import tune

ATTEMPTS = 5  # choices that are tuned on all images before the chosen one is kept as it was measured


def tune_chosen(problem, found, images, **said):
    """The QuantizedNetwork of what the search `found` for `problem`, tuned on `images`: all of [N, C, H, W].

    With more images a bias may take a bit more. Where that breaks a limit on cost the next best choice is
    taken, at last the chosen one as it was measured, on the images of the problem alone. `said` is what `tune`
    takes beside the problem's options: `progress`, `record`, `checkpoint`.
    """
    kept = filter(problem.limits.kept_by, found.path)
    for trial in sorted(kept, key=lambda trial: (trial != found.chosen, problem.figure(trial)))[:ATTEMPTS]:
        widths = trial.widths.to_json()
        quantized = tune(problem.network, images, **widths, **problem.options, **said)
        if problem.affords(quantized):
            return quantized
    return problem.tune(found.chosen.widths, **said)
