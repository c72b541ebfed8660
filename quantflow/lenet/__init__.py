"""The embedded network: a LeNet-5 trained on MNIST, and real digits to show it."""

from pathlib import Path

import numpy as np

from quantflow.lenet import digits

SEED = 1


def model_path():
    """Path of the network's ONNX file: input float32 [N, 1, 28, 28] = pixel / 256, output [N, 10]."""
    return Path(__file__).with_name("lenet5.onnx")


def demo_images():
    """Real digits that the network was not trained on: (calibration x, calibration y), (x, y).

    x is float32 [N, 1, 28, 28] = pixel / 256, y int64 [N]; 256 images calibrate, the other 4,744
    are scored. The order is shuffled, and always the same. Raises UserError where the package
    that carries the digits is missing.
    """
    images, labels = digits.demo_digits()
    order = np.random.default_rng(SEED).permutation(len(images))
    x, y = digits.as_input(images[order]), labels[order].astype(np.int64)
    split = digits.CALIBRATION_IMAGES
    return (x[:split], y[:split]), (x[split:], y[split:])
