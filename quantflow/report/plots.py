"""The report's plots of layers, each an SVG element."""

from quantflow.plotting import BAR, INK, LINE, MUTED, SERIES, bar_plot, bare, plot, shortened
from quantflow.prediction import SHARES
from quantflow.wording import count, percent, sqnr

ROOFLINE_HEIGHT, ROW_HEIGHT = 3.6, 0.46  # inches
MOST_LABELS = 14  # points of the roofline that are named
SHARE_NAMES = ("multiplying", "waiting for the requantizer", "waiting for memory", "starting instructions")


def sqnr_plot(layers):
    """SQNR of each tuned layer's output, a bar each."""
    values = [layer["sqnr_db"] or 0 for layer in layers]
    labels = [sqnr(layer) for layer in layers]
    return bar_plot([layer["name"] for layer in layers], values, labels, "SQNR against float (dB)")


def cycles_plot(stages):
    """Two bars a layer: the measured cycles, and below them the predicted ones by what they go by."""

    def draw(figure):
        axes = figure.add_subplot()
        rows = range(len(stages))
        measured = [stage["cycles"] for stage in stages]
        bars = axes.barh([row - 0.2 for row in rows], measured, height=0.34, color=MUTED, label="measured")
        labels = [
            count(stage["cycles"]) + (f"  ({percent(stage['utilization'], 0)})" if stage["macs"] else "")
            for stage in stages
        ]
        axes.bar_label(bars, labels, padding=4, color=INK)
        left = [0] * len(stages)
        for share, name, colour in zip(SHARES, SHARE_NAMES, SERIES, strict=True):
            widths = [stage["shares"][share] for stage in stages]
            axes.barh([row + 0.18 for row in rows], widths, left=left, height=0.3, color=colour, label=name)
            left = [before + width for before, width in zip(left, widths, strict=True)]
        axes.set_yticks(rows, [shortened(stage["name"]) for stage in stages], color=INK)
        axes.set_ylim(len(stages) - 0.5, -0.5)
        axes.set_xlim(0, 1.3 * max([1, *measured, *left]))
        axes.xaxis.set_major_formatter(lambda value, _: count(value))
        axes.set_xlabel("cycles; the lower bars are predicted", color=MUTED)
        bare(axes)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=3, frameon=False, labelcolor=INK)

    return plot("cycles", 1.3 + ROW_HEIGHT * len(stages), draw, width=9.6)


def roofline_plot(simulation):
    """MACs per cycle against MACs per byte moved, one point a layer and the whole network, under the machine's roofs.

    The roofs are the multipliers, and the bytes that the memory moves in a cycle at most.
    """
    points = [(stage["name"], *_place(stage["macs"], stage)) for stage in simulation["layers"] if stage["macs"]]
    whole = {
        "cycles": simulation["cycles_per_image"],
        "bytes_moved": {"all": sum(sum(stage["bytes_moved"].values()) for stage in simulation["layers"])},
    }
    total = _place(simulation["macs"], whole)
    roof, slope = simulation["multipliers"], simulation["bytes_per_cycle"]

    def draw(figure):
        axes = figure.add_subplot()
        across = [x for _, x, _ in points] + [total[0], roof / slope]
        low, high = min(across) / 3, 3 * max(across)
        axes.plot([low, roof / slope, high], [low * slope, roof, roof], color=BAR, linewidth=1.8)
        axes.annotate(f"{count(roof)} multipliers", (high, roof), (-2, 5), textcoords="offset points", ha="right",
                      color=BAR)  # fmt: skip
        axes.plot(*zip(*[point[1:] for point in points], strict=True) if points else ((), ()), linestyle="none",
                  marker="o", markersize=6, color=SERIES[2], label="a layer")  # fmt: skip
        for name, x, y in points if len(points) <= MOST_LABELS else ():
            axes.annotate(shortened(name), (x, y), (6, -9), textcoords="offset points", color=MUTED, fontsize=7.5)
        axes.plot(*total, linestyle="none", marker="D", markersize=8, color=SERIES[1], label="the whole network")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(min([total[1], *(y for *_, y in points)]) / 2, 2 * roof)
        axes.set_xlabel(f"MACs per byte moved (the memory moves {slope:g} bytes per cycle)", color=MUTED)
        axes.set_ylabel("MACs per cycle", color=MUTED)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.12g}")
        axes.grid(color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        bare(axes, left=True)
        axes.minorticks_off()
        axes.legend(loc="lower right", frameon=False, labelcolor=INK)

    return plot("roofline", ROOFLINE_HEIGHT, draw)


def _place(macs, stage):
    """(MACs per byte, MACs per cycle)."""
    return macs / max(1, sum(stage["bytes_moved"].values())), macs / max(1, stage["cycles"])
