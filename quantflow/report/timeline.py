"""The timeline of a simulated run: which unit worked on which layer, and when."""

from quantflow.plotting import INK, MUTED, SERIES, THEME, bare, plot
from quantflow.wording import count

UNITS = ("load", "compute", "store")
HEIGHT = 1.5  # inches
OPACITIES = (1.0, 0.55)  # a colour comes back paler: so many layers can be told from their neighbours


def timeline_plot(program, timeline):
    """One row a unit, a bar for each time that it works on a layer's instructions, coloured by layer."""

    def draw(figure):
        axes = figure.add_subplot()
        for row, unit in enumerate(UNITS):
            for stage in sorted({stage for each, stage, *_ in timeline["spans"] if each == unit}):
                bars = [
                    (start, end - start)
                    for each, number, start, end in timeline["spans"]
                    if (each, number) == (unit, stage)
                ]
                colour, alpha = colour_of(stage)
                axes.broken_barh(bars, (row - 0.36, 0.72), facecolor=colour, alpha=alpha, linewidth=0)
        axes.set_yticks(range(len(UNITS)), UNITS, color=INK)
        axes.set_ylim(len(UNITS) - 0.5, -0.5)
        axes.set_xlim(0, timeline["cycles"])
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
        axes.set_xlabel("cycles from the start of the run", color=MUTED)
        bare(axes)
        axes.tick_params(axis="y", length=0)

    return plot(f"timeline {program}", HEIGHT, draw, width=9.6)


def colour_of(stage):
    """(colour, opacity) of a layer by its number: neighbours differ."""
    return SERIES[stage % len(SERIES)], OPACITIES[stage // len(SERIES) % len(OPACITIES)]


def legend(names, timelines):
    """(name, colour on the page, opacity) of every layer that the timelines show."""
    shown = sorted({stage for timeline in timelines for _, stage, *_ in timeline["spans"]})
    return [(names[stage], THEME[colour_of(stage)[0]], colour_of(stage)[1]) for stage in shown]
