"""The report's plot of what the machine takes of its part."""

from quantflow.plotting import BAR, INK, LINE, MUTED, bare, plot
from quantflow.wording import RESOURCES, count, percent

COLOURS = {"estimated": MUTED, "routed": BAR}
BAR_HEIGHT, BAR_STEP = 0.34, 0.38  # where a resource's row is 1
HEIGHT, LABEL_ROOM = 2.6, 0.4  # inches; and of the part, to the right of the longest bar


def resources_plot(sources, part):
    """Each resource's used share of what the `part` has, one bar a source; None where nothing is known.

    `sources` is what `on_board` gives, `part` what `available` does.
    """
    keys = [key for key in RESOURCES if part.get(key) and any(key in figures for figures in sources.values())]
    if not keys:
        return None
    shown = [source for source in sources if sources[source].keys() & set(keys)]
    longest = max([1, *(sources[source].get(key, 0) / part[key] for source in shown for key in keys)])

    def draw(figure):
        axes = figure.add_subplot()
        for place, source in enumerate(shown):
            offset = BAR_STEP * (place - (len(shown) - 1) / 2)
            bars = [(row + offset, sources[source][key], part[key]) for row, key in enumerate(keys)
                    if key in sources[source]]  # fmt: skip
            rows = [row for row, *_ in bars]
            shares = [used / has for _, used, has in bars]
            axes.barh(rows, 1, height=BAR_HEIGHT, color=LINE)
            axes.barh(rows, shares, height=BAR_HEIGHT, color=COLOURS[source], label=source)
            for (row, used, has), share in zip(bars, shares, strict=True):
                label = f"{count(used)} of {count(has)} ({percent(share, 0)})"
                axes.text(max(1, share) + 0.02, row, label, va="center", color=INK)
        axes.set_yticks(range(len(keys)), [RESOURCES[key] for key in keys], color=INK)
        axes.set_ylim(len(keys) - 0.5, -0.5)
        axes.set_xlim(0, longest + LABEL_ROOM)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(lambda value, _: percent(value, 0))
        axes.set_xlabel("share of what the part has", color=MUTED)
        bare(axes)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=INK)

    return plot("resources", HEIGHT, draw, width=9.6)
