"""Where tests find real networks and images: never part of the repository, never needed to pass."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def data_folder(*parts):
    """The path of a file or folder of real data; the calling test is skipped where it does not exist.

    The data folder is $QUANTFLOW_DATA, else ../shared/data beside the repository.
    """
    folder = Path(os.environ.get("QUANTFLOW_DATA") or REPOSITORY.parent / "shared" / "data")
    path = folder.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {'/'.join(parts) or 'data'} in {folder}; $QUANTFLOW_DATA names another folder")
    return path
