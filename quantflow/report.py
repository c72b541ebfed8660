"""The report: one self-contained HTML page made of the figures that the commands give as JSON."""

import io
import re
from importlib import resources

from quantflow.errors import UserError
from quantflow.wording import count, fractional_lengths, percent, sqnr

# Colours that stand for the page's own, so that plots follow its light and dark themes.
INK, BAR, MUTED = "#010101", "#020202", "#030303"
THEME = {INK: "var(--ink)", BAR: "var(--bar)", MUTED: "var(--muted)"}
PLOT_WIDTH, BAR_HEIGHT, AXIS_HEIGHT = 4.8, 0.34, 0.75  # inches
LABEL_ROOM = 0.32  # of the bars' range: the axis reaches so far beyond the longest, for its label
NAME_LENGTH = 20  # characters of a layer's name in a plot


def render(*, name, tuning, build, simulation):
    """The page as text.

    `tuning`, `build` and `simulation` are what `quantflow tune`, `generate` and `simulate` write
    with `--json`; `name` is the network's. Raises UserError where the extra `report` is missing.
    """
    try:
        import jinja2
    except ImportError:
        raise UserError("the report needs jinja2 and matplotlib: pip install 'quantflow[report]'") from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters.update(percent=percent, count=count, sqnr=sqnr, lengths=fractional_lengths)
    template = resources.files("quantflow").joinpath("templates/report.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        name=name,
        tuning=tuning,
        build=build,
        simulation=simulation,
        layers=joined_layers(tuning["layers"], simulation["layers"]),
        sqnr_plot=_sqnr_plot(tuning["layers"]),
        cycles_plot=_cycles_plot(simulation["layers"]),
    )


def joined_layers(tuned, simulated):
    """One dict for each stage of the machine, with the keys of the tuned layer that it computes.

    A stage is a layer, or a layer and the pooling behind it ("conv1+pool1").
    """
    by_stage = {_stage_of(layer["name"], simulated): layer for layer in tuned}
    return [by_stage.get(stage["name"], {}) | stage for stage in simulated]


def _stage_of(name, stages):
    for stage in stages:
        if stage["name"] == name or stage["name"].startswith(f"{name}+"):
            return stage["name"]
    raise KeyError(f"layer {name} is not in the simulation")


def _sqnr_plot(layers):
    values = [layer["sqnr_db"] or 0 for layer in layers]
    labels = [sqnr(layer) for layer in layers]
    return _bar_plot([layer["name"] for layer in layers], values, labels, "SQNR against float (dB)")


def _cycles_plot(layers):
    values = [layer["cycles"] for layer in layers]
    labels = [
        count(layer["cycles"]) + (f"  ({percent(layer['utilization'], 0)})" if layer["macs"] else "")
        for layer in layers
    ]
    return _bar_plot([layer["name"] for layer in layers], values, labels, "cycles (multiplier utilization)")


def _bar_plot(names, values, labels, title):
    """Horizontal bars, one a layer, as an SVG element in the page's colours."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("the report needs jinja2 and matplotlib: pip install 'quantflow[report]'") from None
    # A layer's name may hold any character: two $ are not the signs of a formula.
    style = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 9, "text.parse_math": False}
    with rc_context(style):
        figure = Figure(figsize=(PLOT_WIDTH, AXIS_HEIGHT + BAR_HEIGHT * len(names)), layout="constrained")
        axes = figure.add_subplot()
        bars = axes.barh(range(len(names)), values, height=0.62, color=BAR)
        axes.bar_label(bars, labels, padding=4, color=INK)
        axes.set_yticks(range(len(names)), map(_shortened, names), color=INK)
        axes.invert_yaxis()
        axes.set_xlim(*_limits(values))
        axes.set_xlabel(title, color=MUTED)
        axes.tick_params(axis="x", colors=MUTED)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(MUTED)
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    # Within HTML, an SVG needs neither its namespaces nor a size of its own.
    svg = re.sub(r'.*?<svg[^>]* (viewBox="[^"]*")[^>]*>', r"<svg \1>", text.getvalue(), count=1, flags=re.DOTALL)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    return svg


def _limits(values):
    """Ends of an axis from 0, or a lesser value, to the greatest, with room for labels."""
    low, high = min([*values, 0]), max([*values, 1])
    room = LABEL_ROOM * (high - low)
    return low - room if low < 0 else 0, high + room


def _shortened(name):
    """The end of a long name: the beginning is what exporters repeat for every layer."""
    return name if len(name) <= NAME_LENGTH else "…" + name[1 - NAME_LENGTH :]
