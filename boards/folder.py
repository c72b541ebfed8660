"""Folders that are complete before they take their place."""

import os
import shutil


def put_in_place(prepared, folder):
    """Let a prepared temporary folder become `folder`, in the place of what is there."""
    prepared.chmod(0o777 & ~_umask())  # a temporary folder is its owner's alone
    old = prepared.with_name(prepared.name + ".old")
    if folder.exists():
        folder.rename(old)
    prepared.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
