"""The plots of the tuner's report, each an SVG element."""

from quantflow.plotting import BAR, INK, LINE, MARKERS, MUTED, SERIES, bar_plot, bare, plot, shortened
from quantflow.wording import percent, sqnr

ROW_HEIGHT = 0.23  # inches for a layer in the plot along the network
MOST_CELLS = 20  # classes up to which the confusion is a table and not a plot
ANSWERS_HEIGHT, CURVE_HEIGHT, HISTOGRAM_HEIGHT = 4.2, 3.2, 1.5  # inches


def noise_plot(methods):
    """SQNR of every layer, from the first at the top to the last: one curve a method."""
    names = [layer["name"] for layer in methods[0]["layers"]]

    def draw(figure):
        axes = figure.add_subplot()
        for run, colour, marker in zip(methods, SERIES, MARKERS, strict=True):
            values = [layer["sqnr_db"] for layer in run["layers"]]
            points = [(value, row) for row, value in enumerate(values) if value is not None]
            label = f"{run['method']} (chosen)" if run["chosen"] else run["method"]
            wide = 2.2 if run["chosen"] else 1.2
            axes.plot(*zip(*points, strict=True) if points else ((), ()), color=colour, marker=marker, markersize=4,
                      linewidth=wide, label=label, zorder=3 + run["chosen"])  # fmt: skip
        axes.set_yticks(range(len(names)), map(shortened, names), color=INK)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("SQNR of the layer's output against float (dB)", color=MUTED)
        axes.grid(color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        bare(axes)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=4, frameon=False, labelcolor=INK)

    return plot("noise", 1.1 + ROW_HEIGHT * len(names), draw, width=9.6)


def size_plot(widths, chosen):
    """Agreement with float against the parameters' size: the uniform widths, the chosen network, the search's path.

    A search for widths leaves its path in `chosen["path"]`: each network's `parameter_bytes` and `agreement`.
    """

    def scaled(runs):
        return [run["parameter_bytes"] / 1000 for run in runs], [100 * run["agreement"] for run in runs]

    def draw(figure):
        axes = figure.add_subplot()
        size, agreement = scaled(widths)
        axes.plot(size, agreement, color=BAR, marker="o", markersize=5, linewidth=1.4, label="one width for all")
        for run, x, y in zip(widths, size, agreement, strict=True):
            axes.annotate(str(run["weight_bits"]), (x, y), (0, -13), textcoords="offset points", ha="center",
                          color=MUTED)  # fmt: skip
        if chosen.get("path"):
            axes.plot(*scaled(chosen["path"]), color=SERIES[2], marker="^", markersize=4, linewidth=1.2,
                      label="the search for widths")  # fmt: skip
        axes.plot(*scaled([chosen]), color=SERIES[1], marker="o", markersize=11, markerfacecolor="none",
                  markeredgewidth=2, linestyle="none", label="chosen")  # fmt: skip
        axes.margins(0.08, 0.16)
        axes.set_ylim(top=min(100, max(agreement)) + 0.06 * (100 - min(agreement)) + 0.02)
        axes.set_yticks([tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= 100])
        axes.set_xlabel("weights and biases (kB), labelled with the weights' bits", color=MUTED)
        axes.set_ylabel("agreement with float (%)", color=MUTED)
        axes.grid(color=LINE, linewidth=0.8)
        bare(axes, left=True)
        axes.legend(loc="lower right", frameon=False, labelcolor=INK)

    return plot("size", CURVE_HEIGHT, draw)


def step_plot(steps):
    """SQNR of the network's output as the method's steps come in, one bar each."""
    names = ["paper's method" if run["added"] is None else f"+ {run['added']}" for run in steps]
    labels = [f"{sqnr(run, 'output_')}, {percent(run['agreement'])}" for run in steps]
    values = [run["output_sqnr_db"] or 0 for run in steps]
    return bar_plot(names, values, labels, "SQNR of the output (dB), agreement with float")


def histogram_plot(entry):
    """A layer's weights, where it has any, and beside them its output, each with its range and LSB."""

    def draw(figure):
        parts = [] if entry["weights"] is None else [("weights", entry["weights"])]
        parts.append(("input" if entry["kind"] == "Input" else "output", entry["activations"]))
        figure.get_layout_engine().set(wspace=0.1)
        for axes, (what, figures) in zip(figure.subplots(1, 2), parts, strict=False):
            _histogram(axes, figures, what)
        if len(parts) == 1:
            figure.axes[1].set_axis_off()

    return plot(f"histogram {entry['name']}", HISTOGRAM_HEIGHT, draw)


def confusion_plot(matrix):
    """Where fixed point and float name different classes: a dot for each pair that occurs, by its count."""
    cells = [
        (column, row, count)
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if count and row != column
    ]

    def draw(figure):
        axes = figure.add_subplot()
        axes.plot((0, len(matrix) - 1), (0, len(matrix) - 1), color=LINE, linewidth=1)
        if cells:
            columns, rows, counts = zip(*cells, strict=True)
            sizes = [12 + 60 * count / max(counts) for count in counts]
            axes.scatter(columns, rows, s=sizes, color=SERIES[1], linewidths=0)
        axes.set_xlim(-1, len(matrix))
        axes.set_ylim(len(matrix), -1)
        axes.set_aspect("equal")
        axes.set_xlabel("class named by the fixed-point network", color=MUTED)
        axes.set_ylabel("class named by float", color=MUTED)
        bare(axes, left=True)

    return plot("confusion", ANSWERS_HEIGHT, draw)


def _histogram(axes, figures, what):
    """Counts on a logarithmic axis; the range's ends as lines, one LSB as a band beside 0."""
    edges = [
        figures["low"] + (figures["high"] - figures["low"]) * index / len(figures["counts"])
        for index in range(len(figures["counts"]) + 1)
    ]
    axes.stairs(figures["counts"], edges, fill=True, color=BAR, alpha=0.75)
    axes.set_yscale("log")
    axes.set_ylim(0.8, 2 * max(1, *figures["counts"]))
    styles = ("-", "--")
    for (low, high, lsb), style in zip(figures["ranges"], styles, strict=False):
        axes.axvspan(0, lsb, color=SERIES[1], alpha=0.35, linewidth=0)
        for end in (low, high):
            axes.axvline(end, color=SERIES[1], linewidth=1.4, linestyle=style)
    steps = " to ".join(f"{lsb:.3g}" for *_, lsb in figures["ranges"])
    axes.set_title(f"{what}, LSB {steps}", color=MUTED, fontsize=9, loc="left")
    bare(axes)
    axes.set_yticks([])
    axes.minorticks_off()
    axes.locator_params(axis="x", nbins=5)


def gain(step, before):
    """What a step adds to the output's SQNR: "+3.1 dB"; nothing where one of the two has no figure."""
    if None in (step["output_sqnr_db"], before["output_sqnr_db"]):
        return ""
    difference = round(step["output_sqnr_db"] - before["output_sqnr_db"], 1) + 0.0  # no "-0.0"
    return f"{difference:+.1f} dB"
