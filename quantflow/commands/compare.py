"""`quantflow compare`: two tunings of one network, layer by layer."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, progress, table, write_json
from quantflow.commands.tuned import load_tuned
from quantflow.compare import compare, compare_on
from quantflow.datasets import load_dataset
from quantflow.wording import change, count, fractional_lengths, percent, points, sqnr, width

NAME = "compare"
EXAMPLES = examples(
    "quantflow compare tuned/ tuned4/",
    "quantflow compare tuned/ tuned4/ --evaluate test.npz --json comparison.json",
)


def run(
    a: Annotated[Path, typer.Argument(metavar="TUNED_A", help="Folder that `tune` wrote.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="TUNED_B", help="Another one.", show_default=False)],
    evaluate_on: Annotated[
        Path | None,
        typer.Option("--evaluate", help="npz file: `x`, and labels `y` for accuracy. Without it no images are run."),
    ] = None,
    json: JsonOption = None,
):
    """Compare two tunings of one network: every choice and, on images, their answers."""
    networks = load_tuned(a), load_tuned(b)
    by_hand = {side: list(quantized.by_hand) for side, quantized in zip("ab", networks, strict=True)}
    figures = {"a": str(a), "b": str(b), **compare(*networks, names=(a, b)), "by_hand": by_hand, "evaluation": None}
    if evaluate_on is not None:
        test = load_dataset(evaluate_on, networks[0].network.input_shape)
        with progress(f"evaluating both on {len(test):,} images") as report:
            figures["evaluation"] = compare_on(*networks, test.images, test.labels, progress=report)
    write_json(json, figures)
    show(figures)


def show(figures):
    """Print the figures; where the two differ, as "first → second"."""
    console.print(_layers(figures))
    if figures["evaluation"] is not None:
        console.print(_answers(figures), "")
    layers = figures["layers"]
    changed = sum(1 for layer in layers if layer["changed"])
    integers = [layer["weights"] for layer in layers if layer["weights"]]
    different, weights = (sum(entry[key] for entry in integers) for key in ("different", "count"))
    size = change(*(count(figures["parameter_bytes"][key]) for key in "ab"))
    console.print(
        f"{changed} of {len(layers)} formats differ; {different:,} of {weights:,} weights are other integers; "
        f"{size} bytes of parameters",
        highlight=False,
    )


def _layers(figures):
    evaluation = figures["evaluation"]
    noise = ("SQNR",) if evaluation else ()
    rows = table("layer", "weights", "fl", "output", "fl", "accumulator", "bytes", "other weights", *noise)
    for index, layer in enumerate(figures["layers"]):
        a, b, integers = layer["a"], layer["b"], layer["weights"]
        cells = [
            change(*(width(side["weight_bits"]) for side in (a, b))),
            change(*(fractional_lengths(side["weight_fl"]) for side in (a, b))),
            change(*(width(side["activation_bits"], side["activation_signed"]) for side in (a, b))),
            change(a["activation_fl"], b["activation_fl"]),
            change(*(width(side["accumulator_bits"]) for side in (a, b))),
            change(*(count(side["parameter_bytes"]) for side in (a, b))),
            percent(integers["different"] / integers["count"], 1) if integers else "",
        ]
        if evaluation:
            sides = ([evaluation[key]["input"], *evaluation[key]["layers"]][index] for key in "ab")
            cells.append(change(*map(sqnr, sides)))
        add_row(rows, layer["name"], *cells)
    return rows


def _answers(figures):
    evaluation = figures["evaluation"]
    a, b = evaluation["a"], evaluation["b"]
    rows = table("", "A", "B", "B less A", title=f"\n{a['images']:,} images; A: {figures['a']}, B: {figures['b']}")
    for name, key, against in (("top-1", "fixed_top1", "labels"), ("agreement with float", "agreement", "float")):
        if a[key] is not None:
            paired = evaluation["paired"][against]
            difference = f"{points(paired['difference'])} ± {points(paired['standard_error'], sign='')}"
            add_row(rows, name, percent(a[key]), percent(b[key]), difference)
    if a["fixed_top5"] is not None:
        difference = points(b["fixed_top5"] - a["fixed_top5"])
        add_row(rows, "top-5", percent(a["fixed_top5"]), percent(b["fixed_top5"]), difference)
    add_row(rows, "SQNR of the output", sqnr(a, "output_"), sqnr(b, "output_"), "")
    add_row(rows, "same answer", percent(evaluation["same_answer"]), "", "")
    return rows
