"""The report: one self-contained HTML page made of the figures that the commands give as JSON."""

from quantflow.page import render_page
from quantflow.report.layers import joined_layers
from quantflow.report.plots import cycles_plot, roofline_plot, sqnr_plot
from quantflow.report.timeline import legend, timeline_plot
from quantflow.wording import count


def render(*, name, tuning, build, simulation):
    """The page as text.

    `tuning`, `build` and `simulation` are what `quantflow tune`, `generate` and `simulate` write
    with `--json`; `name` is the network's. Raises UserError where the extra `report` is missing.
    """
    stages = simulation["layers"]
    names = [stage["name"] for stage in stages]
    return render_page(
        "report.html",
        name=name,
        tuning=tuning,
        build=build,
        simulation=simulation,
        layers=joined_layers(tuning["layers"], stages),
        moved=_sums(stage["bytes_moved"] for stage in stages),
        shares=_sums(stage["shares"] for stage in stages),
        sqnr_plot=sqnr_plot(tuning["layers"]),
        cycles_plot=cycles_plot(stages),
        roofline_plot=roofline_plot(simulation),
        timelines=[
            (_timeline_title(program, timeline, simulation), timeline_plot(program, timeline))
            for program, timeline in simulation["timelines"].items()
        ],
        timeline_legend=legend(names, simulation["timelines"].values()),
    )


def _sums(counts):
    """Dicts of numbers, added key by key."""
    total = {}
    for each in counts:
        for key, number in each.items():
            total[key] = total.get(key, 0) + number
    return total


def _timeline_title(program, timeline, simulation):
    if program == "warm":
        where = "A later image, the weights on chip"
    elif "warm" in simulation["timelines"]:
        where = "The first image"
    else:
        where = "An image"
    return f"{where}: {count(timeline['cycles'])} cycles"
