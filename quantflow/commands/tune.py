"""`quantflow tune`: choose fractional lengths, round, and say what it costs."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow import tuned_file
from quantflow.bit_widths.search import EXCHANGES
from quantflow.commands.console import JsonOption, console, examples, write_json, write_text
from quantflow.commands.tuning import measure_report, show, tune_and_evaluate
from quantflow.commands.widths import settle, wanted
from quantflow.datasets import load_dataset
from quantflow.errors import UserError
from quantflow.importer import load_network
from quantflow.page import check_installed
from quantflow.tuner.methods import JOINT, SIGNS, STEPS, steps_of
from quantflow.tuner.room import MEMORY_BYTES
from quantflow.tuning_report import render

NAME = "tune"
CHECKPOINT = ".partial"  # in the output folder: the finished layers of a tuning that is under way
EXAMPLES = examples(
    "quantflow tune lenet.onnx --calibration train.npz --evaluate test.npz -o tuned/",
    "quantflow tune lenet.onnx --calibration train.npz --weight-bits 4 --per-channel -o tuned4/ --json tuned4.json",
    "quantflow tune lenet.onnx --calibration train.npz --method paper -o paper/",
    "quantflow tune lenet.onnx --calibration train.npz --without unsigned-maps --without unsigned-input -o signed/",
    "quantflow tune lenet.onnx --calibration train.npz --with joint -o joint/",
    "quantflow tune lenet.onnx --calibration train.npz --evaluate test.npz -o tuned/ --report tuned.html",
    "quantflow tune lenet.onnx --calibration train.npz --weight-bits auto --max-bytes 100000 -o small/",
    "quantflow tune lenet.onnx --calibration train.npz --weight-bits auto --activation-bits auto --max-drop 0.5 "
    "--layer-bits conv1=8/8 -o small/",
)


def run(
    model: Annotated[Path, typer.Argument(help="ONNX file.", show_default=False)],
    calibration: Annotated[
        Path,
        typer.Option(
            help="npz file: `x` float32 [N, C, H, W] as the model expects it. A few hundred images suffice.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TUNED", help="Folder for the tuned network.", show_default=False)
    ],
    evaluate_on: Annotated[
        Path | None,
        typer.Option("--evaluate", help="npz file: `x`, and labels `y` for accuracy. Otherwise the calibration set."),
    ] = None,
    activation_bits: Annotated[
        str, typer.Option(metavar="BITS", help="Bits of every feature map, 2 to 16; or auto: each its own, 4 to 8.")
    ] = "8",
    weight_bits: Annotated[
        str, typer.Option(metavar="BITS", help="Bits of every weight, 2 to 16; or auto: each layer its own, 2 to 8.")
    ] = "8",
    layer_bits: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W[/A]",
            help="Bits of one layer's weights, and of its output; NAME=/A for an output or the network's input alone. "
            "May be given again.",
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS",
            help="For auto: lose at most so many points of top-1 accuracy (agreement without labels) against float, "
            "on the quarter of the calibration images that is then not tuned on. Alone: the smallest network.",
        ),
    ] = None,
    max_bytes: Annotated[
        int | None, typer.Option(metavar="BYTES", help="For auto: of all weights and biases. The least noise in it.")
    ] = None,
    max_cycles: Annotated[
        int | None, typer.Option(metavar="CYCLES", help="For auto: of one image on the machine of --board.")
    ] = None,
    board: Annotated[str | None, typer.Option(metavar="NAME", help="Board whose cycles --max-cycles counts.")] = None,
    exchanges: Annotated[
        int, typer.Option(metavar="COUNT", help="For auto: choices that are tried beside the best one at last.")
    ] = EXCHANGES,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="default: by the error at each layer's output, with compensated rounding and bias correction; "
            "paper: Qiu et al. (FPGA 2016), absolute error; max: nothing overflows; mse: squared error. "
            "Below 8 weight bits default is far better than the others.",
        ),
    ] = "default",
    per_channel: Annotated[
        bool, typer.Option("--per-channel", help="One weight fractional length per output channel, not per layer.")
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP", help=f"Leave out a step of the method default: {', '.join(STEPS)}. May be given again."
        ),
    ] = None,
    further: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="STEP",
            help=f"Add a step that is taken only where asked for: {JOINT} to the method default, {' or '.join(SIGNS)} "
            "to the others. May be given again.",
        ),
    ] = None,
    memory: Annotated[
        float,
        typer.Option(
            metavar="GIB",
            help="Memory for feature maps; what is beyond lies in temporary files (in TMPDIR). The choices are the "
            "same. The network itself and the work on one batch take some more.",
        ),
    ] = MEMORY_BYTES / (1 << 30),
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="HTML report: noise along the network, ranges, agreement against size, confusion, what each step "
            "gives, what changed since the last run. Tunes about 15 more times for it.",
        ),
    ] = None,
    json: JsonOption = None,
):
    """Tune a network: choose fractional lengths layer by layer, and round.

    Interrupted, the same command goes on from the layers that are finished.
    """
    if report is not None:
        check_installed()
    limits = {"max_drop": max_drop, "max_bytes": max_bytes, "max_cycles": max_cycles}
    widths = wanted(weight_bits, activation_bits, layer_bits, board=board, exchanges=exchanges, **limits)
    choice = {"method": method, "steps": _steps(method, without, further), "per_channel": per_channel}
    choice["memory"] = _memory(memory)
    network = load_network(model)
    images = load_dataset(calibration, network.input_shape)
    test = images if evaluate_on is None else load_dataset(evaluate_on, network.input_shape)
    bits, tuner, found = settle(network, images, widths, output, **choice)
    tuning = {"tuner": tuner, "checkpoint": output / CHECKPOINT, **bits, **choice}
    figures = {**choice, **tune_and_evaluate(network, images, test, output, **tuning), **found}
    if report is not None:
        figures["report"] = measure_report(network, tuned_file.load(output), figures, images, test, **choice)
    write_json(json, figures)
    if report is not None:
        write_text(report, render(model.stem, figures))
    show(figures)
    console.print(f"tuned network in {output}", markup=False, highlight=False)
    if report is not None:
        console.print(f"report in {report}", markup=False, highlight=False)


def _steps(method, without, further):
    """The steps that are left, and those added; None where it is neither."""
    own, optional = steps_of(method)
    for given, option, does, steps in (
        (without or (), "--without", "leaves a step out of", own),
        (further or (), "--with", "adds a step to", optional),
    ):
        for step in given:
            if step not in steps:
                raise UserError(f"{option} {does} the method {method}: {', '.join(steps) or 'it has none'}, not {step}")
    if not without and not further:
        return None
    kept = [step for step in own if step not in (without or ())]
    return kept + [step for step in optional if step in (further or ())]


def _memory(gibibytes):
    """In bytes."""
    if not 0 <= gibibytes < float("inf"):
        raise UserError(f"--memory is a number of GiB, at least 0, not {gibibytes}")
    return int(gibibytes * (1 << 30))
