"""The accelerator as a peripheral of a LiteX system."""


def files(board, manifest, model):
    """The build folder's files by name."""
    return {}
