"""The benchmarks' networks read their images as they were trained to: they recognise them."""

import numpy as np
import pytest

from benchmarks import networks
from quantflow import float_engine
from quantflow.errors import UserError
from tests.data import data_folder

# (top-1 on the evaluation images at least, calibration images, evaluation images)
EXPECTED = {
    "lenet5": (0.99, 512, 10_000),
    "lenet_caffe": (0.99, 512, 10_000),
    "resnet8": (0.85, 512, 1000),
    "resnet20": (0.9, 512, 1000),
    "resnet20_bn": (0.9, 512, 1000),
    "resnet20_convsc": (0.9, 512, 1000),
    "resnet20_dynamo": (0.9, 512, 1000),
    "mobilenet": (0.4, 100, 900),
}


def test_every_network_is_expected():
    assert EXPECTED.keys() == set(networks.NAMES)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_network_recognises_its_images(name):
    folder = data_folder()
    if name not in ("lenet5", "lenet_caffe"):
        pytest.importorskip("PIL", reason="needs the image decoder of the extra benchmarks")
    case = networks.load(name, folder)
    least, calibration, evaluation = EXPECTED[name]
    assert (len(case.calibration), len(case.images), len(case.labels)) == (calibration, evaluation, evaluation)
    assert case.calibration.dtype == case.images.dtype == np.float32
    spread = slice(None, None, 5)
    answers = float_engine.run(case.network, case.images[spread]).reshape(len(case.images[spread]), -1).argmax(axis=1)
    assert np.mean(answers == case.labels[spread]) > least - 0.04
    assert case.calibration.std() == pytest.approx(case.images.std(), rel=0.1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"lenet_caffe\.onnx does not exist: set QUANTFLOW_DATA to the folder"):
        networks.load("lenet_caffe", tmp_path)
