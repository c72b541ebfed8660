"""Rows of figures as every display has them: command line, notebook, report."""

from quantflow.wording import count, fractional_lengths, percent, sqnr, width

CHOICES = ("weights", "fl", "output", "fl", "accumulator")
NOISE = ("SQNR", "saturated", "zeros")


def choice_cells(layer):
    """Texts for CHOICES from a layer's figures (`LayerChoices.to_json`); "u" marks an unsigned output."""
    return [
        width(layer["weight_bits"]),
        fractional_lengths(layer["weight_fl"]),
        width(layer["activation_bits"], layer["activation_signed"]),
        str(layer["activation_fl"]),
        width(layer["accumulator_bits"]),
    ]


def noise_cells(layer):
    """Texts for NOISE from a layer's figures (`LayerEvaluation.to_json`)."""
    return [sqnr(layer), percent(layer["saturated"]), percent(layer["zeros"], 1)]


def accuracy(figures):
    """A network's figures (`Evaluation.to_json`) in one line."""
    parts = []
    for name, key in (("top-1", "top1"), ("top-5", "top5")):
        if figures[f"float_{key}"] is not None:
            parts.append(f"{name} float {percent(figures[f'float_{key}'])}, fixed {percent(figures[f'fixed_{key}'])}")
    parts.append(f"agreement {percent(figures['agreement'])} on {figures['images']:,} images")
    parts.append(f"output {sqnr(figures, 'output_')}")
    return "; ".join([*parts, f"{count(figures['parameter_bytes'])} bytes of parameters"])
