"""The tuner's report: one self-contained HTML page about the choices, what they cost and what others would have."""

from itertools import pairwise

from quantflow.page import render_page
from quantflow.tables import CHOICES, NOISE, choice_cells, noise_cells
from quantflow.tuning_report.plots import (
    MOST_CELLS,
    confusion_plot,
    gain,
    histogram_plot,
    noise_plot,
    size_plot,
    step_plot,
)
from quantflow.wording import change, count, percent, points, sqnr

BESIDE_TABLE = 10  # of the most frequent confusions, where a table holds them all
OPEN_HISTOGRAMS = 12  # layers up to which the histograms are not folded away


def render(name, figures):
    """The page as text; `figures` is what `quantflow tune --report` writes with `--json`, `name` the network's.

    Raises UserError where the extra `report` is missing.
    """
    report, matrix, steps = figures["report"], figures["confusion_matrix"], figures["report"]["steps"]
    as_table = matrix is not None and len(matrix) <= MOST_CELLS
    return render_page(
        "tuning.html",
        name=name,
        figures=figures,
        report=report,
        columns=["Layer", "Kind", *(column if column == "fl" else _headed(column) for column in (*CHOICES, *NOISE))],
        rows=[
            [layer["name"], layer["kind"], *choice_cells(layer), *noise_cells(layer)]
            for layer in (figures["input"], *figures["layers"])
        ],
        step_names=list(dict.fromkeys(step for layer in figures["layers"] for step in layer.get("steps") or ())),
        gains=[""] + [gain(step, before) for before, step in pairwise(steps)],
        largest_share=[max([1, *row]) for row in matrix or ()],
        confusion_table=as_table,
        confusions=figures["confusions"][: BESIDE_TABLE if as_table else None],
        previous=_previous(figures.get("previous")),
        noise_plot=noise_plot(report["methods"]),
        size_plot=size_plot(report["widths"], figures),
        step_plot=step_plot(steps) if steps else None,
        confusion_plot=None if matrix is None or as_table else confusion_plot(matrix),
        histograms=[(entry["name"], histogram_plot(entry)) for entry in report["histograms"]],
        histograms_open=len(report["histograms"]) <= OPEN_HISTOGRAMS,
    )


def _headed(column):
    """A column's name as a page's heading: "SQNR" stays, "weights" becomes "Weights"."""
    return column[0].upper() + column[1:]


def _previous(difference):
    """The rows of the comparison with the run before; None where there is none."""
    if difference is None:
        return None
    before, now = (difference["figures"][key] for key in "ab")
    return {
        "figures": [] if before is None else _figure_rows(before, now),
        "other_images": before is not None and before["images"] != now["images"],
        "layers": [_changed_row(layer) for layer in difference["layers"] if _differs(layer)],
    }


def _figure_rows(before, now):
    rows = []
    for name, key in (("Top-1, fixed point", "fixed_top1"), ("Agreement with float", "agreement")):
        if before[key] is not None and now[key] is not None:
            rows.append((name, percent(before[key]), percent(now[key]), points(now[key] - before[key])))
    noise = gain(now, before)
    rows.append(("SQNR of the output", sqnr(before, "output_"), sqnr(now, "output_"), noise))
    sizes = [run["parameter_bytes"] for run in (before, now)]
    rows.append(("Bytes of parameters", *map(count, sizes), f"{sizes[1] - sizes[0]:+,}"))
    return rows


def _differs(layer):
    return layer["changed"] or (layer["weights"] and layer["weights"]["different"])


def _changed_row(layer):
    cells = [change(*pair) for pair in zip(*(choice_cells(layer[key]) for key in "ab"), strict=True)]
    integers = layer["weights"]
    return [layer["name"], *cells, percent(integers["different"] / integers["count"], 1) if integers else ""]
