"""`quantflow export`: a tuned network as standard ONNX with power-of-two quantizers."""

from pathlib import Path
from typing import Annotated

import typer

from quantflow.commands.console import JsonOption, add_row, console, examples, table, write_bytes, write_json
from quantflow.commands.tuned import load_tuned
from quantflow.exporter import export
from quantflow.exporter.exactness import layer_figures

NAME = "export"
EXAMPLES = examples("quantflow export tuned/ -o tuned.onnx", "quantflow export tuned/ -o tuned.onnx --no-host")


def run(
    tuned: Annotated[Path, typer.Argument(metavar="TUNED", help="Folder that `tune` wrote.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="ONNX file.", show_default=False)],
    host: Annotated[
        bool, typer.Option("--host/--no-host", help="Put Softmax and ArgMax, left to the host, behind the output.")
    ] = True,
    json: JsonOption = None,
):
    """Write a tuned network as ONNX with QuantizeLinear and DequantizeLinear.

    An engine that computes them as ONNX says (onnxruntime with its optimizations off) gives the same integers
    at every layer; those of layer L are the value `L:quantized`.
    """
    quantized = load_tuned(tuned)
    model = export(quantized, host=host)
    figures = {
        "output": str(output),
        "bytes": model.ByteSize(),
        "opset": model.opset_import[0].version,
        "nodes": len(model.graph.node),
        "layers": layer_figures(quantized),
        "by_hand": list(quantized.by_hand),
    }
    write_bytes(output, model.SerializeToString())
    write_json(json, figures)
    show(figures)


def show(figures):
    """Print the figures: one row a layer, then what float32 may round."""
    rows = table("layer", "bits", "fl", "<range", "sums", "<in float32")
    for layer in figures["layers"]:
        signs = "signed" if layer["signed"] else "unsigned"
        exact = "exact" if layer["exact_in_float32"] else "may round"
        add_row(rows, layer["name"], layer["bits"], layer["fl"], signs, f"{layer['accumulator_bits']} bit", exact)
    console.print(rows)
    rounded = [layer["name"] for layer in figures["layers"] if not layer["exact_in_float32"]]
    if rounded:
        console.print(
            f"float32 is not proved to hold the sums of {', '.join(rounded)}: an engine's integers may differ there",
            markup=False,
            highlight=False,
        )
    console.print(
        f"{figures['nodes']:,} nodes, opset {figures['opset']}, {figures['bytes']:,} bytes in {figures['output']}",
        markup=False,
        highlight=False,
    )
