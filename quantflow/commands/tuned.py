"""Tuned networks as commands read them: what a person set by hand is said, whichever command it is."""

from quantflow import tuned_file
from quantflow.commands.console import console
from quantflow.errors import UserError
from quantflow.manifest import TUNED


def load_tuned(folder):
    """The tuned network in `folder`; prints each choice that was set by hand."""
    quantized = tuned_file.load(folder)
    show_by_hand(folder, quantized)
    return quantized


def load_built(build):
    """The tuned network that the build folder `build` was generated from; prints as `load_tuned` does.

    UserError where it was edited since: program and memory image would hold other integers.
    """
    quantized = tuned_file.load(build / TUNED)
    if quantized.edits:
        raise UserError(
            f"{build / TUNED} was edited after the build was generated ({quantized.edits[0]}): edit the tuned "
            "network that generate reads, then generate again"
        )
    show_by_hand(build, quantized)
    return quantized


def show_by_hand(folder, quantized):
    """Print each choice of the tuned network from `folder` that was set by hand."""
    for edit in quantized.by_hand:
        console.print(f"{folder}: {edit}", markup=False, highlight=False, soft_wrap=True)
