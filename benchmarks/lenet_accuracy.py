"""Accuracy of the embedded LeNet-5 on the 10,000 official MNIST test images.

    python -m benchmarks.lenet_accuracy [--data FOLDER] > lenet_accuracy.json

Tuned on the demonstration's calibration digits. FOLDER (by default $QUANTFLOW_DATA) holds
mnist/mnist.npz. Prints one JSON object: float and fixed-point top-1 accuracy, agreement, and the figures
of each layer, for the bit widths in WIDTHS.
"""

import argparse
import json
import time

import numpy as np

from quantflow import lenet
from quantflow.evaluate import evaluate
from quantflow.importer import load_network
from quantflow.lenet import digits
from quantflow.tuner.tune import tune

WIDTHS = ((8, 8), (16, 16), (8, 4), (4, 4))  # activation bits, weight bits


def main():
    """Measure every pair of widths and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder that holds mnist/mnist.npz")
    data = digits.mnist(parser.parse_args().data)
    x, y = digits.as_input(data["x_test"]), data["y_test"].astype(np.int64)
    (calibration, _), _ = lenet.demo_images()
    network = load_network(lenet.model_path())
    figures = []
    for activation_bits, weight_bits in WIDTHS:
        start = time.perf_counter()
        quantized = tune(network, calibration, activation_bits=activation_bits, weight_bits=weight_bits)
        seconds = time.perf_counter() - start
        entry = {"activation_bits": activation_bits, "weight_bits": weight_bits, "tune_seconds": round(seconds, 2)}
        figures.append(entry | evaluate(quantized, x, y).to_json())
    print(json.dumps({"network": "LeNet-5", "calibration_images": len(calibration), "widths": figures}, indent=2))


if __name__ == "__main__":
    main()
