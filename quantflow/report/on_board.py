"""What the machine takes of its board, and how fast it is there: estimated, and measured after routing."""

from quantflow.errors import UserError
from quantflow.plotting import BAR, INK, LINE, MUTED, bare, plot
from quantflow.wording import count, percent, significant

RESOURCES = {"lut": "LUTs", "ff": "flip-flops", "dsp": "DSP blocks", "block_ram": "block RAMs"}
SPEED = {
    "clock_mhz": "clock (MHz)",
    "images_per_second": "images per second",
    "gops": "GOP/s",
    "gops_per_dsp": "GOP/s per DSP block",
}
NAMES = {**RESOURCES, **SPEED}
SOURCES = {"estimated": MUTED, "routed": BAR}  # with their bars' colours
BAR_HEIGHT, HEIGHT = 0.34, 2.6  # of a bar, where a resource's row is 1; of the plot, in inches


def on_board(build, routed, simulation):
    """{source: {key of NAMES: number}}, with what the files tell and no more.

    "estimated" are the models' figures, at the clock asked for, as `quantflow generate` writes them. "routed" are
    those of `routed`, what `quantflow build` writes, or None: the cells used, the clock that the PLL gives, and, where
    timing is met, the images per second at this clock by the cycles of the last run in `simulation`. An operation is
    a multiplication or an addition: a MAC is two. Raises UserError where the two files are of different boards.
    """
    macs = simulation["macs"]
    estimated = build.get("resources", {}).get("estimated", {})
    sources = {"estimated": _figures(estimated, build.get("clock_mhz"), build.get("images_per_second"), macs)}
    if routed is not None:
        if routed["board"] != build["board"]:
            raise UserError(f"the bitstream is for {routed['board']}, the figures of generate for {build['board']}")
        clock = routed.get("clock_mhz")
        runs = clock and not is_missed(routed)
        images = 1e6 * clock / last_run_cycles(simulation, build) if runs else None
        sources["routed"] = _figures(routed.get("resources", {}).get("used", {}), clock, images, macs)
    return sources


def last_run_cycles(simulation, build):
    """Measured cycles for an image, of the last program in `simulation`: with the weights on chip where they stay."""
    *_, timeline = simulation["timelines"].values()
    return timeline["cycles"] / build.get("batch", 1)


def available(build, routed):
    """What the part has, as the file of `quantflow build` or else of `generate` says: {} where none does."""
    files = [each.get("resources", {}) for each in (routed, build) if each is not None]
    return next((each["available"] for each in files if "available" in each), {})


def is_missed(routed):
    """Whether the design was routed and is too slow for the clock that is set."""
    return routed is not None and not routed.get("met", True)


def missing(sources, routed):
    """{source: names of the figures that its file lacks}, without those that are made of others."""
    asked = [*RESOURCES, "clock_mhz"] + ([] if is_missed(routed) else ["images_per_second"])
    lacks = {source: [NAMES[key] for key in asked if key not in figures] for source, figures in sources.items()}
    return {source: names for source, names in lacks.items() if names}


def resources_plot(sources, part):
    """Each resource's used share of what the `part` has: one bar a source."""
    keys = [key for key in RESOURCES if part.get(key) and any(key in figures for figures in sources.values())]
    shown = [source for source in sources if RESOURCES.keys() & sources[source].keys()]

    def draw(figure):
        axes = figure.add_subplot()
        greatest = 1
        for place, source in enumerate(shown):
            known = [(row, key) for row, key in enumerate(keys) if key in sources[source]]
            rows = [row + (place - (len(shown) - 1) / 2) * (BAR_HEIGHT + 0.04) for row, _ in known]
            used = [sources[source][key] for _, key in known]
            shares = [number / part[key] for number, (_, key) in zip(used, known, strict=True)]
            axes.barh(rows, [1] * len(rows), height=BAR_HEIGHT, color=LINE)
            bars = axes.barh(rows, shares, height=BAR_HEIGHT, color=SOURCES[source], label=source)
            labels = [
                f"{count(number)} of {count(part[key])} ({percent(share, 0)})"
                for number, share, (_, key) in zip(used, shares, known, strict=True)
            ]
            for row, share, label in zip(rows, shares, labels, strict=True):
                axes.text(max(1, share) + 0.02, row, label, va="center", color=INK)
            greatest = max(greatest, *(bar.get_width() for bar in bars))
        axes.set_yticks(range(len(keys)), [RESOURCES[key] for key in keys], color=INK)
        axes.set_ylim(len(keys) - 0.5, -0.5)
        axes.set_xlim(0, greatest + 0.4)
        axes.set_xticks([tick / 4 for tick in range(5)])
        axes.xaxis.set_major_formatter(lambda value, _: percent(value, 0))
        axes.set_xlabel("share of what the part has", color=MUTED)
        bare(axes)
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=INK)

    return plot("resources", HEIGHT, draw, width=9.6) if keys else None


def board_rows(sources, part):
    """(key, name, {source: text}, available, {source: used share}) of every figure that some source has."""
    return [
        (
            key,
            name,
            {source: significant(figures.get(key)) for source, figures in sources.items()},
            count(part.get(key)),
            _share(sources, key, part),
        )
        for key, name in NAMES.items()
        if any(key in figures for figures in sources.values())
    ]


def _share(sources, key, part):
    """The used share of a resource by the last source that knows it: the routed one before the estimated."""
    used = [figures[key] for figures in sources.values() if key in figures]
    return percent(used[-1] / part[key], 1) if part.get(key) else ""


def _figures(resources, clock_mhz, images_per_second, macs):
    figures = {key: resources[key] for key in RESOURCES if resources.get(key) is not None}
    figures |= {"clock_mhz": clock_mhz} if clock_mhz else {}
    if images_per_second:
        gops = 2 * macs * images_per_second / 1e9
        figures |= {"images_per_second": images_per_second, "gops": gops}
        figures |= {"gops_per_dsp": gops / figures["dsp"]} if figures.get("dsp") else {}
    return figures
