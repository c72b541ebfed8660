"""The report: one self-contained HTML page made of the figures that the commands give as JSON."""

from quantflow.page import render_page
from quantflow.report.earlier import PageFigures, changes, main_figures
from quantflow.report.layers import joined_layers
from quantflow.report.on_board import NAMES, available, board_rows, is_missed, missing, on_board
from quantflow.report.plots import cycles_plot, roofline_plot, sqnr_plot
from quantflow.report.resources import resources_plot
from quantflow.report.timeline import legend, timeline_plot
from quantflow.wording import count


def render(*, name, tuning, build, simulation, routed=None, earlier=None, date=""):
    """The page as text.

    `tuning`, `build` and `simulation` are what `quantflow tune`, `generate` and `simulate` write
    with `--json`, `routed` what `quantflow build` writes, where the design was placed and routed; `name` is the
    network's. `earlier`, the PageFigures of another page, is what the main figures are compared with; `date` is this
    page's. Raises UserError where the extra `report` is missing, or the files are of different boards.
    """
    stages = simulation["layers"]
    names = [stage["name"] for stage in stages]
    sources, part = on_board(build, routed, simulation), available(build, routed)
    figures = main_figures(tuning, simulation, sources)
    carried = PageFigures(
        name=name,
        board=build["board"],
        date=date,
        evaluated=tuning["images"],
        simulated=simulation["images"],
        figures=figures,
    )
    return render_page(
        "report.html",
        name=name,
        tuning=tuning,
        build=build,
        simulation=simulation,
        routed=routed,
        timing_missed=is_missed(routed),
        sources=sources,
        figures=figures,
        best=_best(sources),
        board_rows=board_rows(sources, part),
        missing=missing(sources, routed),
        earlier=earlier,
        changes=changes(figures, earlier.figures) if earlier else {},
        carried=carried.to_script(),
        date=date,
        layers=joined_layers(tuning["layers"], stages),
        moved=_sums(stage["bytes_moved"] for stage in stages),
        shares=_sums(stage["shares"] for stage in stages),
        plots=drawings(tuning=tuning, build=build, simulation=simulation, routed=routed),
        timelines=[
            (_timeline_title(program, timeline, simulation), f"timeline_{program}")
            for program, timeline in simulation["timelines"].items()
        ],
        timeline_legend=legend(names, simulation["timelines"].values()),
    )


def drawings(*, tuning, build, simulation, routed=None):
    """The page's plots by name, each an SVG element: see `render`; "resources" is only there where they are known."""
    stages = simulation["layers"]
    resources = resources_plot(on_board(build, routed, simulation), available(build, routed))
    plots = {"resources": resources} if resources else {}
    plots |= {
        "cycles": cycles_plot(stages),
        "roofline": roofline_plot(simulation),
        "sqnr": sqnr_plot(tuning["layers"]),
    }
    for program, timeline in simulation["timelines"].items():
        plots[f"timeline_{program}"] = timeline_plot(program, timeline)
    return plots


def _best(sources):
    """{key: (source, number)} of the board's figures: measured where they are, else estimated."""
    return {key: (source, figures[key]) for source, figures in sources.items() for key in NAMES if key in figures}


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
