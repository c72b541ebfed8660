"""A whole design for boards whose memory is block RAM: accelerator, memory, serial link, PLL, pins."""


def files(board, manifest, model):
    """The build folder's files by name."""
    return {}
