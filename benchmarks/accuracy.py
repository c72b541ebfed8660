"""Accuracy of a model in float and in fixed point.

    python -m benchmarks.accuracy MODEL.onnx --calibration C.npz --images X.npz

Both npz files hold `x` (float32 [N, C, H, W], as the model expects it), the second also `y` (integer
labels) where top-1 accuracy is wanted. Prints one JSON object: the figures of `quantflow.evaluate`, the
bit widths, and the seconds that tuning and evaluation took.
"""

import argparse
import json
import sys
import time

from quantflow.datasets import load_dataset
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.importer import load_network
from quantflow.tuner.tune import tune


def measure(model, calibration, images, *, calibration_count=None, activation_bits=8, weight_bits=8):
    """Tune `model` on the first images of `calibration` and evaluate it on `images`: a dict for JSON.

    All three are paths. Raises UserError for files that cannot be used.
    """
    network = load_network(model)
    calibration_set = load_dataset(calibration, network.input_shape).first(calibration_count)
    evaluation_set = load_dataset(images, network.input_shape)
    start = time.perf_counter()
    tuned = tune(network, calibration_set.images, activation_bits=activation_bits, weight_bits=weight_bits)
    tune_end = time.perf_counter()
    evaluation = evaluate(tuned, evaluation_set.images, evaluation_set.labels)
    return {
        "model": str(model),
        "activation_bits": activation_bits,
        "weight_bits": weight_bits,
        "calibration_images": len(calibration_set),
        "tune_seconds": round(tune_end - start, 2),
        "evaluate_seconds": round(time.perf_counter() - tune_end, 2),
        **evaluation.to_json(),
    }


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="ONNX file")
    parser.add_argument("--calibration", required=True, help="npz file with images for the tuner")
    parser.add_argument("--calibration-count", type=int, help="tune on this many of them only")
    parser.add_argument("--images", required=True, help="npz file with images, and labels, to evaluate on")
    parser.add_argument("--activation-bits", type=int, default=8)
    parser.add_argument("--weight-bits", type=int, default=8)
    try:
        figures = measure(**vars(parser.parse_args()))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
