"""The trained networks that the benchmarks measure, each with its images as it was trained to read them.

They lie in a folder that is no part of the repository: $QUANTFLOW_DATA, else `shared/data` beside the repository.
CIFAR-10's training images are lossless WebP and ImageNet's are JPEG: the extra `benchmarks` brings their decoder.

    networks    calibration                          evaluation
    lenet5      first 512 MNIST training images      10,000 MNIST test images
    lenet_caffe the same                             the same
    resnet8     first 512 CIFAR-10 training images   first 1,000 CIFAR-10 test images
    resnet20    the same                             the same
    mobilenet   100 ImageNet images, every tenth     the other 900

resnet20 comes in three further forms, as exporters write it: resnet20_bn, resnet20_convsc and resnet20_dynamo.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantflow import lenet
from quantflow.errors import UserError
from quantflow.graph import Network
from quantflow.importer import load_network
from quantflow.lenet import digits

CALIBRATION_IMAGES = 512  # of CIFAR-10 and MNIST
IMAGENET_STEP = 10  # of ImageNet's images, one of each class in the classes' order, one in so many calibrates
CIFAR_MEAN, CIFAR_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_TILES = (25, 40)  # images of 32x32 down and across one file
CROP, MOBILENET_SIZE = (16, 16, 240, 240), (128, 128)  # pixels: left, top, right, bottom of 256x256; and what is read


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A network with what it is tuned on and what it is judged by."""

    name: str
    path: Path  # of the ONNX file
    network: Network
    calibration: np.ndarray  # float32 [N, C, H, W]
    images: np.ndarray  # float32 [M, C, H, W]
    labels: np.ndarray  # int64 [M]


def load(name, folder=None):
    """The Case of that name, one of NAMES. Raises UserError where a file or the image decoder is missing."""
    folder = digits.mnist_folder(folder).parent
    file, read = _CASES[name]
    path = lenet.model_path() if file is None else _existing(folder / file)
    calibration, images, labels = read(folder)
    return Case(
        name=name,
        path=path,
        network=load_network(path),
        calibration=np.ascontiguousarray(calibration, np.float32),
        images=np.ascontiguousarray(images, np.float32),
        labels=labels.astype(np.int64),
    )


def _mnist(folder):
    data = digits.mnist(folder)
    return digits.as_input(data["x_train"][:CALIBRATION_IMAGES]), digits.as_input(data["x_test"]), data["y_test"]


def _cifar10(folder):
    """Pixels 0 to 255, uint8 [N, 3, 32, 32]: 512 of the first training file, and the test images with classes."""
    down, across = CIFAR_TILES
    pixels = np.asarray(_image(_existing(folder / "cifar10" / "train_00.webp")))
    training = pixels.reshape(down, 32, across, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)
    with np.load(_existing(folder / "cifar10" / "cifar10_test1k.npz"), allow_pickle=False) as test:
        return training[:CALIBRATION_IMAGES], test["x"], test["y"]


def _normalized_cifar10(folder):
    *images, classes = _cifar10(folder)
    mean, deviation = (np.reshape(np.float32(values), (3, 1, 1)) for values in (CIFAR_MEAN, CIFAR_DEVIATION))
    return *((x / np.float32(255) - mean) / deviation for x in images), classes


def _imagenet(folder):
    """As MobileNetV1 reads them, (pixel - 128) / 128; its class 0 is the background."""
    with zipfile.ZipFile(_existing(folder / "imagenet" / "imagenet1000_256.zip")) as archive:
        names = sorted(name for name in archive.namelist() if Path(name).stem[:4].isdigit())
        images = np.stack([_mobilenet_input(archive.read(name)) for name in names])
    classes = np.array([int(Path(name).stem[:4]) + 1 for name in names])
    calibrates = np.arange(len(images)) % IMAGENET_STEP == 0
    return images[calibrates], images[~calibrates], classes[~calibrates]


def _mobilenet_input(file):
    from PIL import Image

    image = _image(io.BytesIO(file)).crop(CROP).resize(MOBILENET_SIZE, Image.Resampling.BILINEAR)
    return (np.asarray(image, np.float32).transpose(2, 0, 1) - 128) / 128


def _image(file):
    try:
        from PIL import Image
    except ImportError:
        raise UserError("the benchmarks' image decoder is not installed: pip install 'quantflow[benchmarks]'") from None
    return Image.open(file).convert("RGB")


def _existing(path):
    if not path.is_file():
        raise UserError(f"{path} does not exist: set QUANTFLOW_DATA to the folder of the networks and images")
    return path


_CASES = {
    "lenet5": (None, _mnist),
    "lenet_caffe": ("mnist/lenet_caffe.onnx", _mnist),
    "resnet8": ("mlperf_tiny/ic_resnet8_cifar10.onnx", _cifar10),
    "resnet20": ("cifar10_resnet/resnet20.onnx", _normalized_cifar10),
    "resnet20_bn": ("cifar10_resnet/resnet20_bn.onnx", _normalized_cifar10),
    "resnet20_convsc": ("cifar10_resnet/resnet20_convsc.onnx", _normalized_cifar10),
    "resnet20_dynamo": ("cifar10_resnet/resnet20_dynamo.onnx", _normalized_cifar10),
    "mobilenet": ("imagenet/mobilenet_v1_0.25_128.onnx", _imagenet),
}
NAMES = tuple(_CASES)
