"""The report: one self-contained HTML page made of the figures that the commands give as JSON."""

from quantflow.page import render_page
from quantflow.plotting import bar_plot
from quantflow.wording import count, percent, sqnr


def render(*, name, tuning, build, simulation):
    """The page as text.

    `tuning`, `build` and `simulation` are what `quantflow tune`, `generate` and `simulate` write
    with `--json`; `name` is the network's. Raises UserError where the extra `report` is missing.
    """
    return render_page(
        "report.html",
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
    return bar_plot([layer["name"] for layer in layers], values, labels, "SQNR against float (dB)")


def _cycles_plot(layers):
    values = [layer["cycles"] for layer in layers]
    labels = [
        count(layer["cycles"]) + (f"  ({percent(layer['utilization'], 0)})" if layer["macs"] else "")
        for layer in layers
    ]
    return bar_plot([layer["name"] for layer in layers], values, labels, "cycles (multiplier utilization)")
