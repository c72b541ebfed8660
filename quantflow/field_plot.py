"""The picture of `quantflow explore`: images per second against each resource, the Pareto set marked."""

import html
import io
import re
from importlib.resources import files

from quantflow.errors import UserError
from quantflow.page import MISSING
from quantflow.plotting import BAR, INK, MUTED, THEME, bare, picture, plot
from quantflow.wording import RESOURCES

AXES = {name: RESOURCES[name] for name in ("dsp", "lut", "block_ram")}
WIDTH, HEIGHT = 9.6, 3.2  # inches
DOTS_PER_INCH = 150  # of a PNG


def field_picture(figures, ending):
    """The picture of what `quantflow explore --json` writes, as the bytes of a file: `ending` .svg, .png or .html.

    Raises UserError where the extra `report` is missing.
    """
    if ending == ".png":
        return _png(figures)
    drawing = picture(plot("field", HEIGHT, lambda figure: _draw(figure, figures, (INK, BAR, MUTED)), width=WIDTH))
    if ending == ".html":
        title = html.escape(_title(figures))
        drawing = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n{drawing}\n</html>\n'
    return drawing.encode()


def _title(figures):
    return f"{figures['network']} on {figures['board']}, {figures['clock_mhz']:g} MHz"


def _draw(figure, figures, colours):
    """Three plots side by side; a machine of the Pareto set is full, another one faint."""
    ink, bar, muted = colours
    figure.suptitle(f"{_title(figures)}: machines that fit, and (dark) the Pareto set", color=ink, fontsize=10)
    row = figure.subplots(1, len(AXES), sharey=True)
    for axes, (name, label) in zip(row, AXES.items(), strict=True):
        for best in (False, True):
            machines = [each for each in figures["machines"] if each["pareto"] == best]
            x = [each["resources"][name] for each in machines]
            y = [each["images_per_second"] for each in machines]
            style = {"s": 26, "color": bar} if best else {"s": 12, "color": muted, "alpha": 0.35}
            axes.scatter(x, y, linewidths=0, **style)
        axes.set_xlim(0)
        axes.locator_params(axis="x", nbins=5)  # numbers of five digits have room
        axes.set_ylim(0)
        axes.set_xlabel(f"{label} of {figures['available'][name]:,}", color=muted)
        bare(axes, left=True)
    row[0].set_ylabel("images per second", color=muted)


def _png(figures):
    """A picture of pixels has one theme: the light one."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(MISSING) from None
    light = (files("quantflow") / "templates" / "colours.css").read_text().partition("@media")[0]
    values = dict(re.findall(r"(--\w+): (#\w+);", light))
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", dpi=DOTS_PER_INCH)
    _draw(figure, figures, [values[re.search(r"--\w+", THEME[colour])[0]] for colour in (INK, BAR, MUTED)])
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
