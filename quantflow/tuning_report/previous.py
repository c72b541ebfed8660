"""The run before: what a folder held when it was tuned into again, and what differs now."""

import hashlib
import json
from dataclasses import dataclass

from quantflow import tuned_file
from quantflow.compare import compare
from quantflow.errors import UserError
from quantflow.quantized import QuantizedNetwork
from quantflow.tuning_report.survey import SUMMARY, summary

FIGURES = "figures.json"  # beside the tuned network's own files


@dataclass(frozen=True, kw_only=True)
class PreviousRun:
    """A tuned network that is about to be replaced."""

    quantized: QuantizedNetwork
    figures: dict | None  # of its evaluation, where the folder has them


def previous_run(folder):
    """The PreviousRun in `folder`; None where there is none that can be read."""
    try:
        quantized = tuned_file.load(folder)
    except UserError:
        return None
    return PreviousRun(quantized=quantized, figures=_figures(folder))


def digest(folder):
    """What `figures.json` is of: the SHA-256 of the tuned network's description."""
    return hashlib.sha256((folder / tuned_file.STRUCTURE).read_bytes()).hexdigest()


def difference(previous, quantized, figures):
    """What the run before and this one differ in: a dict for JSON, or None where they are of two networks.

    `compare`'s entries, "a" being the run before, and both runs' figures (of the run before None where they
    are unknown), `figures` being this one's.
    """
    try:
        entries = compare(previous.quantized, quantized)
    except UserError:
        return None
    before = None if previous.figures is None else summary(previous.figures)
    return entries | {"figures": {"a": before, "b": summary(figures)}}


def _figures(folder):
    """The figures beside a tuned network; None where they are of another, as after an edit by hand."""
    try:
        figures = json.loads((folder / FIGURES).read_text(encoding="utf-8"))
        known = figures["network_sha256"] == digest(folder)
        known = known and all(isinstance(figures[key], int | float | None) for key in SUMMARY)
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return figures if known else None
