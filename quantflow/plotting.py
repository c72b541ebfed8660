"""Plots as SVG elements in the page's own colours, so that they follow its light and dark themes."""

import io
import re
from importlib.resources import files

from quantflow.errors import UserError
from quantflow.page import MISSING, render_page

# Colours that stand for the page's own.
INK, BAR, MUTED, LINE = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#020202", "#050505", "#060606", "#070707")  # of curves: each has a marker of its own, too
MARKERS = ("o", "s", "^", "D")
THEME = {
    INK: "var(--ink)",
    BAR: "var(--bar)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    "#050505": "var(--second)",
    "#060606": "var(--third)",
    "#070707": "var(--fourth)",
}
PLOT_WIDTH, BAR_HEIGHT, AXIS_HEIGHT = 4.8, 0.34, 0.75  # inches
LABEL_ROOM = 0.32  # of the bars' range: the axis reaches so far beyond the longest, for its label
NAME_LENGTH = 20  # characters of a layer's name in a plot


def plot(key, height, draw, width=PLOT_WIDTH):
    """The SVG element that `draw(figure)` makes of a matplotlib figure of `width` x `height` inches.

    `key` sets the element's inner names: the same key and drawing give the same text. Raises UserError where
    the extra `report` is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(MISSING) from None
    # A layer's name may hold any character: two $ are not the signs of a formula.
    style = {"svg.fonttype": "none", "svg.hashsalt": key, "font.size": 9, "text.parse_math": False}
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        text = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    # Within HTML, an SVG needs neither its namespaces nor a size of its own.
    svg = re.sub(r'.*?<svg[^>]* (viewBox="[^"]*")[^>]*>', r"<svg \1>", text.getvalue(), count=1, flags=re.DOTALL)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    return svg


def picture(svg):
    """The text of an SVG file of its own that shows what `plot` made, in light and dark.

    Programs that know no CSS variables show the light colours.
    """
    size, drawing = re.fullmatch(r'<svg viewBox="0 0 ([\d. ]+)">(.*)</svg>\s*', svg, re.DOTALL).groups()
    width, height = map(float, size.split())
    colours = (files("quantflow") / "templates" / "colours.css").read_text()
    light = dict(re.findall(r"(--\w+): (#\w+);", colours.partition("@media")[0]))

    def with_light(style):
        fixed = re.findall(r"(fill|stroke): var\((--\w+)\)", style[1])
        return " ".join([style[0], *(f'{name}="{light[variable]}"' for name, variable in fixed)])

    drawing = re.sub(r'style="([^"]*)"', with_light, drawing)
    return render_page("picture.svg", width=width, height=height, drawing=drawing)


def bar_plot(names, values, labels, title):
    """Horizontal bars, one a name, each with its label."""

    def draw(figure):
        axes = figure.add_subplot()
        bars = axes.barh(range(len(names)), values, height=0.62, color=BAR)
        axes.bar_label(bars, labels, padding=4, color=INK)
        axes.set_yticks(range(len(names)), map(shortened, names), color=INK)
        axes.invert_yaxis()
        axes.set_xlim(*_limits(values))
        axes.set_xlabel(title, color=MUTED)
        bare(axes)
        axes.tick_params(axis="y", length=0)

    return plot(title, AXIS_HEIGHT + BAR_HEIGHT * len(names), draw)


def bare(axes, left=False):
    """Leave an axis at the bottom, and with `left` one at the left, in quiet colours."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["left"].set_visible(left)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(axis="x", colors=MUTED)
    if left:
        axes.tick_params(axis="y", colors=MUTED)


def shortened(name):
    """The end of a long name: the beginning is what exporters repeat for every layer."""
    return name if len(name) <= NAME_LENGTH else "…" + name[1 - NAME_LENGTH :]


def _limits(values):
    """Ends of an axis from 0, or a lesser value, to the greatest, with room for labels."""
    low, high = min([*values, 0]), max([*values, 1])
    room = LABEL_ROOM * (high - low)
    return low - room if low < 0 else 0, high + room
