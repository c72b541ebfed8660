"""What becomes of the models that the `onnx` package publishes: its single-node cases, and its light architectures.

    python -m benchmarks.published_cases > docs/onnx.md

A case is relevant where it is one operator of those that the importer knows, on a map or on features in float32;
its further inputs are taken as constants. An imported one is computed by the float engine and held against the
case's own output; one that differs ends the run. Prints Markdown.
"""

import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

from benchmarks.shapes import LIGHT
from quantflow import float_engine
from quantflow.errors import UserError
from quantflow.importer import load_network
from quantflow.importer.converters import CONVERTERS


def node_cases():
    """(name, model, input, output) of each single-node case in which a known operator occurs; data as arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of onnx's own arithmetic, as it makes the cases
        cases = load_model_tests(kind="node")
    for case in cases:
        model = onnx.ModelProto.FromString(case.model.SerializeToString())
        if not {node.op_type for node in model.graph.node} & set(CONVERTERS):
            continue
        inputs, outputs = case.data_sets[0]
        for value, array in list(zip(model.graph.input, inputs, strict=False))[1:]:
            if isinstance(array, np.ndarray | np.generic):
                model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
        yield case.name.removeprefix("test_"), model, inputs[0], outputs[0]


def refusal(model, x, y, folder):
    """The importer's sentence where it refuses the model, else None; AssertionError where the output is not `y`."""
    path = Path(folder) / "model.onnx"
    path.write_bytes(model.SerializeToString())
    network, sentence = _imported(path)
    if sentence is None:
        output, name = float_engine.run(network, x).reshape(y.shape), model.graph.name
        np.testing.assert_allclose(output, y, rtol=1e-4, atol=1e-4, err_msg=name)
    return sentence


def relevant(model, x):
    """Whether it is one known operator on float32 maps or features."""
    return len(model.graph.node) == 1 and getattr(x, "dtype", None) == np.float32 and np.ndim(x) in (2, 4)


def architectures():
    """(name, the sentence that refuses it or None) of the networks that `onnx` carries."""
    for path in sorted(LIGHT.glob("light_*.onnx")):
        yield path.stem.removeprefix("light_"), _imported(path)[1]


def _imported(path):
    """The network and None, or None and the sentence by which the importer refuses it."""
    try:
        return load_network(path), None
    except UserError as error:
        return None, str(error).removeprefix(f"{path}: ").partition("; `quantflow inspect`")[0]


def main():
    """Print the page."""
    with tempfile.TemporaryDirectory() as folder:
        found = [(name, refusal(model, x, y, folder)) for name, model, x, y in node_cases() if relevant(model, x)]
    refused = defaultdict(list)
    for name, why in found:
        if why is not None:
            refused[why].append(name)
    agreed = [name for name, why in found if why is None]
    print("# The models that the `onnx` package publishes\n")
    print(f"Made by `python -m benchmarks.published_cases` with onnx {onnx.__version__}.\n")
    print("## Networks\n")
    print("Those that are imported agree with onnxruntime: `pytest -m slow tests/quantflow/test_real_networks.py`.\n")
    print("| network | |\n|---|---|")
    for name, why in architectures():
        print(f"| {name} | {'imported' if why is None else f'refused: {why}'} |")
    print("\n## Operators\n")
    print("Cases of one known operator on float32 maps [N, C, H, W] or features [N, F].\n")
    print(f"{len(agreed)} give the case's output: {', '.join(f'`{name}`' for name in agreed)}.\n")
    print(f"{len(found) - len(agreed)} are refused:\n")
    print("| why | cases |\n|---|---|")
    for why, names in refused.items():
        print(f"| {why} | {', '.join(f'`{name}`' for name in names)} |")


if __name__ == "__main__":
    main()
