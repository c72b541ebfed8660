"""What the machine takes of its board, and how fast it is there: estimated, and measured after routing."""

from quantflow.errors import UserError
from quantflow.wording import RESOURCES, count, percent, significant

SPEED = {
    "clock_mhz": "clock (MHz)",
    "images_per_second": "images per second",
    "gops": "GOP/s",
    "gops_per_dsp": "GOP/s per DSP block",
}
NAMES = {**RESOURCES, **SPEED}


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


def board_rows(sources, part):
    """(key, name, {source: text}, available, used share) of every figure that some source has."""
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
