"""What `tune` and `demo` share: tuning with its figures, the comparison with the run before, and the report."""

import contextlib
import time

import typer

from quantflow import tuned_file
from quantflow.commands.console import add_row, console, errors, progress, table, write_json
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.tables import CHOICES, NOISE, accuracy, choice_cells, noise_cells
from quantflow.tuner.checkpoint import remove_checkpoint
from quantflow.tuner.tune import tune
from quantflow.tuning_report.histograms import IMAGES, histograms
from quantflow.tuning_report.previous import FIGURES, difference, digest, previous_run
from quantflow.tuning_report.survey import planned, survey
from quantflow.wording import change, decibels, percent, sqnr


def tune_and_evaluate(network, calibration, test, output, *, tuner=tune, checkpoint=None, **options):
    """Tune on the Dataset `calibration`, evaluate on `test`, save to the folder `output`: figures for JSON.

    `tuner` is called in place of `tune`. The folder keeps the figures, too, so that the next run into it can say
    what it changed. With a `checkpoint`, a folder, an interruption says that the same command goes on from there,
    and ends with exit code 130; the folder is gone in the end.
    """
    previous, steps = previous_run(output), {}
    start = time.perf_counter()
    with _resumable(checkpoint):
        with progress(f"tuning on {len(calibration):,} images") as report:
            said = {"progress": _announced(report), "record": steps.__setitem__, "checkpoint": checkpoint}
            quantized = tuner(network, calibration.images, **options, **said)
        seconds = time.perf_counter() - start
        with progress(f"evaluating on {len(test):,} images") as report:
            values = evaluate(quantized, test.images, test.labels, progress=report).to_json()
        tuned_file.save(quantized, output)
    times = {"seconds": seconds, "evaluation_seconds": time.perf_counter() - start - seconds}
    layers = [layer | {"steps": steps.get(layer["name"])} for layer in values["layers"]]
    figures = {**values, "layers": layers, "tuning": quantized.tuning, **times, "network_sha256": digest(output)}
    write_json(output / FIGURES, figures)
    return figures | {"previous": None if previous is None else difference(previous, quantized, figures)}


@contextlib.contextmanager
def _resumable(checkpoint):
    """Says how to go on where the work in it is interrupted; what is kept for that goes once it is done, or refused."""
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint is None:
            raise
        text = f"interrupted; the same command goes on from the layers that are finished, kept in {checkpoint}"
        errors.print(text, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None
    except UserError:
        remove_checkpoint(checkpoint)
        raise
    remove_checkpoint(checkpoint)


def _announced(report):
    """`report`, with what `tune` says before its first layer as a line of its own."""

    def announce(done, total, what):
        if done == 0:
            errors.print(what, markup=False, highlight=False, soft_wrap=True)
        report(done, total)

    return announce


def measure_report(network, quantized, figures, calibration, test, *, method, steps=None, **options):
    """What a report draws beside `figures`, the chosen network's: histograms, other methods, widths, steps.

    `quantized` is the chosen network, made from the float `network`; `options` are those of `tune` that made it,
    but for widths, which are its own. The cost is
    said first and shown as it goes.
    """
    runs = planned(quantized, method=method, steps=steps)
    more = sum(run.options is not None for run in runs)
    seconds = more * (figures["seconds"] + figures["evaluation_seconds"])
    text = f"for the report, {more} more tunings are measured; that may take {seconds:.0f} s"
    errors.print(text, highlight=False, soft_wrap=True)
    with progress(f"measuring {more} other tunings, layer by layer") as report:
        found = survey(network, figures, calibration, test, runs, progress=report, **options)
    with progress("histograms") as report:
        found["histograms"] = histograms(quantized, calibration.images, progress=report)
    return found | {"calibration_images": len(calibration), "histogram_images": min(IMAGES, len(calibration))}


def show(figures):
    """Print the figures: one row a layer, what the steps gained where that is known, then accuracy."""
    given = figures.get("tuning", {}).get("given")
    if given is not None:
        maps, weights = (len(given[key]) for key in ("maps", "weights"))
        text = f"the model came quantized: the formats of {maps} maps and of the weights of {weights} layers are kept"
        console.print(text, highlight=False)
    console.print(layer_table(figures))
    if any(layer.get("steps") for layer in figures["layers"]):
        console.print(step_table(figures["layers"]))
    console.print(f"{accuracy(figures)}; tuned in {figures['seconds']:.1f} s", highlight=False)
    if figures.get("previous") is not None:
        console.print(previous_line(figures["previous"]), highlight=False)


def layer_table(figures):
    """One row a layer, the network's input first: weights, output, accumulator, noise."""
    rows = table("layer", *CHOICES, *NOISE)
    for layer in (figures["input"], *figures["layers"]):
        add_row(rows, layer["name"], *choice_cells(layer), *noise_cells(layer))
    return rows


def step_table(layers):
    """One row a layer: the noise at its output, relative to the float output, after each of the method's steps."""
    steps = list(dict.fromkeys(step for layer in layers for step in layer.get("steps") or ()))
    title = "\nNoise at each layer's output in dB, relative to float, as the steps come in"
    rows = table("layer", *(step.replace("-", "-\n") for step in steps), title=title)
    for layer in layers:
        if layer.get("steps"):
            add_row(rows, layer["name"], *(decibels(layer["steps"].get(step)).removesuffix(" dB") for step in steps))
    return rows


def previous_line(previous):
    """What differs from the run before, in one sentence."""
    changed = sum(1 for layer in previous["layers"] if layer["changed"])
    integers = [layer["weights"] for layer in previous["layers"] if layer["weights"]]
    share = sum(entry["different"] for entry in integers) / max(1, sum(entry["count"] for entry in integers))
    text = f"against the previous run: {changed} formats and {percent(share, 1)} of the weights differ"
    before, now = (previous["figures"][key] for key in "ab")
    if before is None:
        return text
    agreement = change(*(percent(figures["agreement"]) for figures in (before, now)))
    return f"{text}; agreement {agreement}, output {change(*(sqnr(figures, 'output_') for figures in (before, now)))}"
