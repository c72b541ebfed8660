"""The user's images: reading an npz file and refusing what would give wrong results."""

import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from quantflow.errors import UserError

# What numpy and zipfile raise for bytes that are not what they should be.
_DAMAGED = (
    OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, MemoryError, SyntaxError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images as the model expects them, and their classes where known."""

    images: np.ndarray  # float32 [N, C, H, W], finite
    labels: np.ndarray | None = None  # int64 [N], each at least 0

    def __len__(self):
        return len(self.images)

    def first(self, count):
        """The first `count` images with their labels; all of them where there are fewer."""
        labels = None if self.labels is None else self.labels[:count]
        return Dataset(images=self.images[:count], labels=labels)


def load_dataset(path, input_shape):
    """Read `x` (floats [N, C, H, W]) and, if present, `y` (integers [N]) from the npz file `path`.

    `input_shape` is the model's [C, H, W]. Raises UserError, in one sentence that names the file, where
    it is missing, is no npz file or is damaged, holds objects in place of numbers, or where `x` or `y`
    cannot be what is meant.
    """
    arrays = read_arrays(path, ("x", "y"))
    if "x" not in arrays:
        raise UserError(f"{path} has no array x; images are stored with numpy.savez(file, x=images)")
    images = check_images(arrays["x"], input_shape, f"x in {path}")
    labels = _check_labels(arrays["y"], len(images), f"y in {path}") if "y" in arrays else None
    return Dataset(images=images, labels=labels)


def read_arrays(path, names=None):
    """The arrays of an npz file by name, those in `names` only if given; runs no code from the file.

    Raises UserError as `load_dataset` does, and where they unpack to more than half of this machine's memory.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) not in (b"PK\x03\x04", b"PK\x05\x06"):
                raise UserError(f"{path} is not an npz file, which numpy.savez writes")
            file.seek(0)
            return _read_members(path, file, names)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_members(path, file, names):
    try:
        archive = np.load(file, allow_pickle=False)
        members = archive.files
    except _DAMAGED:
        raise UserError(f"{path} is a damaged npz file") from None
    names = [name for name in (members if names is None else names) if name in members]
    _check_bytes(path, sum(member.file_size for member in archive.zip.infolist() if _named(member) in names))
    arrays = {}
    for name in names:
        try:
            array = archive[name]
        except _DAMAGED as error:
            if "pickle" in str(error):
                raise UserError(f"{name} in {path} holds Python objects, where numbers are expected") from None
            raise UserError(f"{name} in {path} is damaged") from None
        if not isinstance(array, np.ndarray):
            raise UserError(f"{name} in {path} is not a numpy array")
        arrays[name] = array
    return arrays


def _named(member):
    """The array's name of a file in the archive, as numpy gives it."""
    return member.filename.removesuffix(".npy")


def _check_bytes(path, size):
    limit = _physical_memory() // 2
    if size > limit:
        raise UserError(
            f"{path} unpacks to {size / (1 << 20):,.0f} MiB, where at most {limit / (1 << 20):,.0f} MiB are read, half "
            f"of this machine's memory"
        )


def _physical_memory():
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_images(images, input_shape, name):
    """`images` as a float32 array [N, C, H, W]; UserError, calling them `name`, where they are not that.

    They must be floating point, of the model's `input_shape` [C, H, W], at least one, and finite; [N, C]
    will do where the model's maps are [C, 1, 1].
    """
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.floating):
        raise UserError(f"{name} holds {images.dtype} values, where float32 is expected, scaled as the model expects")
    if images.ndim == 2 and tuple(input_shape[1:]) == (1, 1):
        images = images[:, :, None, None]
    if images.ndim != 4 or images.shape[1:] != tuple(input_shape):
        expected = ", ".join(map(str, input_shape))
        raise UserError(f"{name} has shape {list(images.shape)}, where [N, {expected}] is expected")
    if len(images) == 0:
        raise UserError(f"{name} holds no images")
    with np.errstate(over="ignore"):
        images = np.ascontiguousarray(images, dtype=np.float32)
    for index, image in enumerate(images):
        if not np.isfinite(image).all():
            raise UserError(f"{name} holds values that are infinite or not a number, first in image {index}")
    return images


def _check_labels(labels, count, name):
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{name} holds {labels.dtype} values, where integer class numbers are expected")
    if labels.shape != (count,):
        raise UserError(f"{name} has shape {list(labels.shape)}, where [{count}] is expected, one label for each image")
    labels = labels.astype(np.int64)
    if labels.min() < 0:
        raise UserError(f"{name} holds the label {labels.min()}, where labels count from 0")
    return labels
