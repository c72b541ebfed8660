"""`quantflow inspect`: what a model consists of, and what of it is not supported."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, shape, table, write_json
from quantflow.importer import inspect_model
from quantflow.wording import count

NAME = "inspect"
EXAMPLES = examples("quantflow inspect lenet.onnx", "quantflow inspect lenet.onnx --json lenet.json")


def run(
    model: Annotated[Path, typer.Argument(help="ONNX file.", show_default=False)],
    json: JsonOption = None,
):
    """List a model's layers: operator, shapes, MACs, parameters, and whether each is supported.

    Exit code 2 if anything is not; every such layer is named with the reason.
    """
    inspection = inspect_model(model)
    rows = table("layer", "<operator", "input", "output", "MACs", "parameters", "<verdict")
    for layer in inspection.layers:
        verdict = layer.verdict if layer.supported else f"not supported: {layer.verdict}"
        shapes = (shape(layer.input_shape), shape(layer.output_shape))
        add_row(rows, layer.name, layer.operator, *shapes, count(layer.macs), count(layer.parameters), verdict)
    console.print(rows)
    console.print(f"{count(inspection.macs)} MACs, {count(inspection.parameters)} parameters", highlight=False)
    for problem in inspection.problems:
        console.print(f"The model {problem}.", markup=False, highlight=False)
    write_json(json, inspection.to_json())
    if not inspection.supported:
        raise typer.Exit(2)
