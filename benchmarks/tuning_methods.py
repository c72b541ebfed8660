"""Agreement with the float network on MNIST, for each tuning method, each step, and several weight widths.

    python -m benchmarks.tuning_methods [--data FOLDER] [--bits 8 4 3 2] > tuning_methods.json

FOLDER (by default $QUANTFLOW_DATA) holds mnist/mnist.npz and mnist/lenet_caffe.onnx. Networks: the embedded
LeNet-5 and that one; calibration: the first 512 training images; evaluation: the 10,000 test images;
activations have 8 bits. "steps up to" adds the default method's steps one after the other, "without" leaves one
out (both per layer). Prints one JSON object.
"""

import argparse
import json
import sys
import time

import numpy as np

from quantflow import lenet
from quantflow.evaluate import evaluate
from quantflow.importer import load_network
from quantflow.lenet import digits
from quantflow.tune import tune
from quantflow.tuner.methods import METHODS, STEPS

CALIBRATION_IMAGES = 512
MODELS = ("lenet5", "lenet_caffe")


def variants():
    """Name and options of every run of `tune` for one network and width."""
    yield from ((name, {"method": name}) for name in METHODS)
    for count in range(len(STEPS)):
        added = STEPS[count - 1] if count else "nothing"
        yield f"steps up to {added}", {"method": "default", "steps": STEPS[:count]}
    for step in STEPS:
        yield f"without {step}", {"method": "default", "steps": [other for other in STEPS if other != step]}


def measure(network, calibration, x, y, weight_bits, options):
    """Tune and evaluate once: a dict for JSON."""
    start = time.perf_counter()
    quantized = tune(network, calibration, weight_bits=weight_bits, **options)
    seconds = time.perf_counter() - start
    evaluation = evaluate(quantized, x, y)
    return {
        "agreement": evaluation.agreement,
        "fixed_top1": evaluation.fixed_top1,
        "float_top1": evaluation.float_top1,
        "output_sqnr_db": round(evaluation.output_sqnr_db, 2),
        "tune_seconds": round(seconds, 2),
    }


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder that holds mnist/mnist.npz and mnist/lenet_caffe.onnx")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4, 3, 2], help="weight bits")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--methods-only", action="store_true", help="the named methods, without single steps")
    arguments = parser.parse_args()
    data = digits.mnist(arguments.data)
    calibration = digits.as_input(data["x_train"][:CALIBRATION_IMAGES])
    x, y = digits.as_input(data["x_test"]), data["y_test"].astype(np.int64)
    paths = dict(
        zip(MODELS, (lenet.model_path(), digits.mnist_folder(arguments.data) / "lenet_caffe.onnx"), strict=True)
    )
    runs = []
    for model in arguments.models:
        network = load_network(paths[model])
        for bits in arguments.bits:
            for per_channel in (False, True):
                for name, options in variants():
                    if name not in METHODS and (arguments.methods_only or per_channel):
                        continue
                    figures = measure(network, calibration, x, y, bits, options | {"per_channel": per_channel})
                    run = {"network": model, "weight_bits": bits, "per_channel": per_channel, "method": name}
                    print(*run.values(), figures["agreement"], figures["output_sqnr_db"], file=sys.stderr)
                    runs.append(run | figures)
    print(json.dumps({"calibration_images": CALIBRATION_IMAGES, "images": len(x), "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
