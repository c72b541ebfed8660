"""The accelerator as a peripheral of a LiteX system: the peripheral, and an example of a system with it.

See docs/litex.md. Both are files of their own, which need LiteX and nothing of quantflow; a build folder gets copies.
"""

from pathlib import Path

COPIED = ("peripheral.py", "example.py")


def files(board, manifest, model):
    """The build folder's files by name."""
    return {name: Path(__file__).with_name(name).read_text() for name in COPIED}
