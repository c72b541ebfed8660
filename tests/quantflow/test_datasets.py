"""Reading the user's npz: what is accepted, and one sentence for everything that is not."""

import zipfile

import numpy as np
import pytest

from quantflow import datasets
from quantflow.datasets import check_images, load_dataset, read_arrays
from quantflow.errors import UserError

SHAPE = (1, 4, 3)


def image_array(count=5, dtype=np.float32):
    return np.random.default_rng(count).normal(size=(count, *SHAPE)).astype(dtype)


def stored(tmp_path, **arrays):
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    return path


def refused(path, message, shape=SHAPE):
    with pytest.raises(UserError, match=message) as caught:
        load_dataset(path, shape)
    assert "\n" not in str(caught.value)


def test_reads_images_and_labels(tmp_path):
    x, y = image_array(), np.arange(5, dtype=np.uint8)
    dataset = load_dataset(stored(tmp_path, x=x, y=y, other=np.zeros(3)), SHAPE)
    assert dataset.images.dtype == np.float32 and np.array_equal(dataset.images, x)
    assert dataset.labels.dtype == np.int64 and np.array_equal(dataset.labels, y)
    assert len(dataset) == 5
    assert len(dataset.first(2)) == 2 and dataset.first(2).labels.tolist() == [0, 1]
    assert len(dataset.first(9)) == 5


def test_labels_are_optional_and_compression_is_fine(tmp_path):
    path = tmp_path / "images.npz"
    np.savez_compressed(path, x=image_array(dtype=np.float64))
    dataset = load_dataset(path, SHAPE)
    assert dataset.labels is None and dataset.first(1).labels is None
    assert dataset.images.dtype == np.float32


def test_flat_images_fit_a_model_with_flat_input(tmp_path):
    x = np.ones((2, 7), np.float32)
    assert load_dataset(stored(tmp_path, x=x), (7, 1, 1)).images.shape == (2, 7, 1, 1)


def test_missing_file(tmp_path):
    refused(tmp_path / "none.npz", "none.npz does not exist$")


def test_folder(tmp_path):
    refused(tmp_path, "cannot be read: Is a directory$")


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x93NUMPY\x01\x00"])
def test_not_npz(tmp_path, content):
    path = tmp_path / "images.npz"
    path.write_bytes(content)
    refused(path, "images.npz is not an npz file, which numpy.savez writes$")


@pytest.mark.parametrize("kept", [10, 300, 0.5, 0.9])
def test_truncated(tmp_path, kept):
    path = stored(tmp_path, x=image_array())
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept >= 1 else int(len(content) * kept)])
    refused(path, "is a damaged npz file$")


def test_damaged_inside(tmp_path):
    path = stored(tmp_path, x=image_array())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    refused(path, "^x in .*images.npz is damaged$")


def test_member_that_is_no_array(tmp_path):
    path = tmp_path / "images.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "text")
    refused(path, "^x in .*images.npz is not a numpy array$")


def test_no_images(tmp_path):
    refused(
        stored(tmp_path, images=image_array()), r"has no array x; images are stored with numpy.savez\(file, x=images\)$"
    )


def test_wrong_shape_names_expected_and_given(tmp_path):
    path = stored(tmp_path, x=np.zeros((5, 4, 3, 1), np.float32))
    refused(path, r"^x in .*images.npz has shape \[5, 4, 3, 1\], where \[N, 1, 4, 3\] is expected$")
    refused(
        stored(tmp_path, x=np.zeros(SHAPE, np.float32)), r"has shape \[1, 4, 3\], where \[N, 1, 4, 3\] is expected$"
    )


def test_empty_set(tmp_path):
    refused(stored(tmp_path, x=image_array(0)), "^x in .*images.npz holds no images$")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, value):
    x = image_array()
    x[3, 0, 1, 2] = value
    refused(stored(tmp_path, x=x), "holds values that are infinite or not a number, first in image 3$")


def test_beyond_float32(tmp_path):
    refused(stored(tmp_path, x=image_array(dtype=np.float64) * 1e300), "holds values that are infinite")


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "complex64", "U1"])
def test_not_floating_point(tmp_path, dtype):
    path = stored(tmp_path, x=np.zeros((5, *SHAPE), dtype))
    refused(path, "^x in .*images.npz holds .* values, where float32 is expected, scaled as the model expects$")


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code from the file was run",))


@pytest.mark.parametrize("name", ["x", "y"])
def test_objects_are_refused_unread(tmp_path, name):
    arrays = {"x": image_array(1), name: np.array([Trap()], dtype=object)}
    refused(stored(tmp_path, **arrays), f"^{name} in .*images.npz holds Python objects, where numbers are expected$")


def test_labels_of_other_length(tmp_path):
    path = stored(tmp_path, x=image_array(), y=np.arange(4))
    refused(path, r"^y in .*images.npz has shape \[4\], where \[5\] is expected, one label for each image$")


def test_labels_that_are_no_classes(tmp_path):
    refused(
        stored(tmp_path, x=image_array(), y=np.zeros(5)),
        "holds float64 values, where integer class numbers are expected$",
    )
    refused(
        stored(tmp_path, x=image_array(), y=np.array([0, 1, -2, 3, 4])),
        "holds the label -2, where labels count from 0$",
    )


def test_more_than_memory(tmp_path, monkeypatch):
    """A small file may unpack to any size: what is not read does not count."""
    path = tmp_path / "images.npz"
    np.savez_compressed(path, x=image_array(), other=np.zeros(1 << 20))
    monkeypatch.setattr(datasets, "_physical_memory", lambda: 4 << 20)
    assert len(load_dataset(path, SHAPE)) == 5
    np.savez_compressed(path, x=np.zeros((88000, *SHAPE), np.float32))
    refused(path, "unpacks to 4 MiB, where at most 2 MiB are read, half of this machine's memory$")


def test_read_arrays_reads_all_or_the_named(tmp_path):
    path = stored(tmp_path, a=np.arange(2), b=np.arange(3))
    assert sorted(read_arrays(path)) == ["a", "b"]
    assert sorted(read_arrays(path, ("b", "c"))) == ["b"]


def test_check_images_keeps_float32_uncopied():
    x = image_array()
    assert check_images(x, SHAPE, "x") is x
